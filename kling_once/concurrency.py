"""Work that several callers want at once and that is done once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any


class SingleFlight:
    """Share one running piece of work between all who ask for the same key meanwhile.

    A caller who is cancelled only lets go; the work is cancelled when nobody waits for it any more.
    """

    def __init__(self) -> None:
        self._flights: dict[str, tuple[asyncio.Task[None], list[object]]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work` unless it is under way for `key`; wait for its end, raise what it raises."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = (asyncio.create_task(work()), [])
            flight[0].add_done_callback(lambda task: self._landed(key, task))
        task, passengers = flight
        ticket = object()
        passengers.append(ticket)
        try:
            await asyncio.shield(task)
        finally:
            passengers.remove(ticket)
            if not passengers and not task.done():
                self._forget(key, task)
                task.cancel()

    def _landed(self, key: str, task: asyncio.Task[None]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # marks it as seen, also when every passenger has let go

    def _forget(self, key: str, task: asyncio.Task[None]) -> None:
        if key in self._flights and self._flights[key][0] is task:
            del self._flights[key]


Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


async def in_daemon_thread(
    work: Callable[Arguments, Value], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Value:
    """Return what `work` returns, from a thread of its own that the end of the process does not wait for.

    Cancelling lets go of the call. In asyncio's shared threads a few such calls to a silent server would
    keep every ledger write waiting, and the process alive.
    """
    ended: Future[Value] = Future()
    ended.set_running_or_notify_cancel()

    def run() -> None:
        try:
            ended.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            ended.set_exception(error)

    threading.Thread(target=run, name="kling-once-hosting", daemon=True).start()
    return await asyncio.wrap_future(ended)
