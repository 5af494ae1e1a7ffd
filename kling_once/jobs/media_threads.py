"""Worker threads for media, few at a time: the ledger's short calls must never queue behind a long clip."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_AT_ONCE: Final = 4

Value = TypeVar("Value")


class MediaThreads:
    """A pool for reading, measuring and conforming. A call whose caller is cancelled is told to stop."""

    def __init__(self) -> None:
        workers = max(2, min(MOST_AT_ONCE, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kling-once-media")
        self._closed = threading.Event()

    async def run(self, work: Callable[..., Value], *args: Any) -> Value:
        """Return what `work(*args, stop=...)` returns, from one of the threads.

        `stop()` turns true when the caller is cancelled or the pool is closed.
        """
        cancelled = threading.Event()

        def stop() -> bool:
            return cancelled.is_set() or self._closed.is_set()

        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, lambda: work(*args, stop=stop)
            )
        finally:
            cancelled.set()

    def close(self) -> None:
        """Begin nothing more; what runs is told to stop and not waited for."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
