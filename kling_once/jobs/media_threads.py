"""Worker threads for media, few at a time: the ledger's short calls must never queue behind a long clip."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..media.types import Stop

MOST_AT_ONCE: Final = 4

Value = TypeVar("Value")


class MediaThreads:
    """A pool of its own for reading, measuring and conforming."""

    def __init__(self) -> None:
        workers = max(2, min(MOST_AT_ONCE, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kling-once-media")
        self._closed = threading.Event()

    async def run(
        self, work: Callable[..., Value], *args: Any, stop: Stop | None = None, **kwargs: Any
    ) -> Value:
        """Return what `work` returns, from one of the threads.

        It is called with a `stop` that holds also once nobody waits here any more: it makes room for others.
        """
        let_go = threading.Event()

        def stops() -> bool:
            return let_go.is_set() or self._closed.is_set() or (stop is not None and stop())

        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, lambda: work(*args, stop=stops, **kwargs))
        except asyncio.CancelledError:
            let_go.set()
            raise

    def close(self) -> None:
        """Begin nothing more; what runs is told to stop and not waited for."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
