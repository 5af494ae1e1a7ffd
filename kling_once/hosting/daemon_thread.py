"""A blocking call that may hang without holding up anything else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

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
