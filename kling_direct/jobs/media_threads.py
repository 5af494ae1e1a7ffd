"""Worker threads for media, few at a time: the ledger's short calls must never queue behind a long clip."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_AT_ONCE: Final = 4

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


class MediaThreads:
    """A pool of its own for reading, measuring and conforming."""

    def __init__(self) -> None:
        workers = max(2, min(MOST_AT_ONCE, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kling-direct-media")

    async def run(
        self, work: Callable[Arguments, Value], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Value:
        """Return what `work` returns, from one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Begin nothing more; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
