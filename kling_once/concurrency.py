"""Single flight, results of other threads, signals, and blocking calls that nobody waits for at the end."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
import time
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

LONGEST_SLEEP_SECONDS: Final = 0.1
"""After which a thread that waits for a result looks whether a signal has arrived."""


@dataclass
class _Flight(Generic[Value]):
    task: asyncio.Task[Value]
    waiting: int = 0


async def first_of(*waits: Awaitable[object]) -> None:
    """Return when one of several waits has ended, in whatever way; the others are cancelled."""
    running = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in running:
            wait.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class SingleFlight(Generic[Value]):
    """Run one piece of work per key at a time, and give its result to every caller who asks meanwhile.

    A caller that is cancelled only stops waiting. The work itself is cancelled when the last caller has
    stopped waiting.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[Value]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return the result of the running work for `key`, starting `work` when none is running.

        Raises:
            Exception: whatever the work raises, in every caller that waits for it.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(work()))
            flight.task.add_done_callback(lambda _task: self._end(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    def _end(self, key: str, flight: _Flight[Value]) -> None:
        self._forget(key, flight)
        if not flight.task.cancelled():
            flight.task.exception()  # marks it as retrieved, also when no caller waits any more

    def _forget(self, key: str, flight: _Flight[Value]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


async def in_daemon_thread(
    work: Callable[Arguments, Value], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Value:
    """Return the result of a blocking call, run in a daemon thread of its own.

    Cancelling abandons the call. In asyncio's shared thread pool, a few calls to a server that does not
    answer would hold up every ledger write, and the process could not end before they do.

    Raises:
        Exception: whatever the call raises.
    """
    ended: Future[Value] = Future()
    ended.set_running_or_notify_cancel()

    def run() -> None:
        try:
            ended.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            ended.set_exception(error)

    threading.Thread(target=run, name="kling-once-call", daemon=True).start()
    return await asyncio.wrap_future(ended)


def on_signals(numbers: Iterable[int], call: Callable[[int], object]) -> None:
    """Have the running loop call a function with each signal's number; for the main thread alone.

    A handler of `signal.signal` does not wake a loop that falls asleep just when the signal arrives.
    """
    loop = asyncio.get_running_loop()
    for number in numbers:
        try:
            loop.add_signal_handler(number, call, number)
        except NotImplementedError:  # Windows, where every signal wakes the loop
            signal.signal(number, lambda number, _frame: loop.call_soon_threadsafe(call, number))


class Pending(Future[Value], Generic[Value]):
    """The result of work on another thread's event loop: wait for it with `.result()`, or await it.

    Cancelling lets go of the work.
    """

    def __init__(self, running: Future[Value]) -> None:
        super().__init__()
        self._running = running
        running.add_done_callback(self._take)

    def result(self, timeout: float | None = None) -> Value:
        """Wait for the result.

        Python's lock sleeps through a signal that arrives just before it does, and on Windows through every
        one; so the wait is cut into short ones, and a signal's handler runs between two of them.

        Args:
            timeout: seconds to wait at most; None waits for as long as it takes.

        Raises:
            TimeoutError: the time is over.
            CancelledError: the work was cancelled.
            Exception: whatever the work raises, and what the handler of a signal raises in the main thread.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self.done() and (left := deadline - time.monotonic()) > 0:
            wait([self], min(left, LONGEST_SLEEP_SECONDS))
        return super().result(0)

    def cancel(self) -> bool:
        """Let go; False when it has ended already."""
        cancelled = super().cancel()
        self._running.cancel()
        return cancelled

    def __await__(self) -> Generator[Any, None, Value]:
        return asyncio.wrap_future(self).__await__()

    def _take(self, running: Future[Value]) -> None:
        if not self.set_running_or_notify_cancel():
            return
        if running.cancelled():
            self.set_exception(CancelledError())
        elif error := running.exception():
            self.set_exception(error)
        else:
            self.set_result(running.result())
