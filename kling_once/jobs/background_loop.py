"""An event loop on a background thread of its own, which outlives every prompt, request and terminal."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine

JOIN_SECONDS: Final = 10.0

Value = TypeVar("Value")


class BackgroundLoop:
    """Runs coroutines for other threads; the thread starts with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Coroutine[Any, Any, Value]) -> concurrent.futures.Future[Value]:
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def stop(self, last_work: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        """Run one more coroutine, for so many seconds at the most, and end the thread; blocking.

        Nothing happens where nothing ever ran.
        """
        with self._starting:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        ending = asyncio.run_coroutine_threadsafe(last_work(), loop)
        with suppress(TimeoutError):
            ending.result(seconds)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(JOIN_SECONDS)
        if not thread.is_alive():
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop
