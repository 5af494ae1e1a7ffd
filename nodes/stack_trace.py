"""What ComfyUI lists as the stack trace of a failure that is told in words."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


def without_our_lines(
    run: Callable[..., Coroutine[Any, Any, Any]], told: type[Exception]
) -> Callable[..., Awaitable[Any]]:
    """Let errors of type `told` leave a node's coroutine function without a line of ours.

    Python adds a line for each coroutine that an error leaves, and none for a future that it was set on.
    """
    if sys.version_info < (3, 12):  # ComfyUI would not await what a plain function returns
        return run

    @inspect.markcoroutinefunction
    @functools.wraps(run)
    def running(*values: Any, **named: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        end: asyncio.Future[Any] = loop.create_future()
        # eager, as an awaited coroutine is: what is refused at once ends before other items of a list begin
        work = asyncio.Task(run(*values, **named), loop=loop, eager_start=True)

        def pass_on(_work: Any) -> None:
            if work.cancelled() or end.cancelled():
                end.cancel()
            elif (error := work.exception()) is not None:
                end.set_exception(error.with_traceback(None) if isinstance(error, told) else error)
            else:
                end.set_result(work.result())

        if work.done():
            pass_on(work)
        else:
            work.add_done_callback(pass_on)
            end.add_done_callback(lambda _end: work.cancel())  # the node was cancelled
        return end

    return running
