"""Wait for a job only until its task exists; the work goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .outcome import Outcome
    from .progress import Progress

    Listener = Callable[[Progress], None]


async def until_accepted(
    run: Callable[[Listener], Coroutine[Any, Any, Outcome]], listener: Listener | None
) -> str:
    """Return the job's key as soon as the vendor has its task, or when it ends.

    Raises:
        KlingOnceError: it ended before.
    """
    accepted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hear(progress: Progress) -> None:
        if listener is not None:
            listener(progress)
        if progress.task_id and not accepted.done():
            accepted.set_result(progress.job_key)

    running = asyncio.create_task(run(hear))
    try:
        await asyncio.wait({running, accepted}, return_when=asyncio.FIRST_COMPLETED)
        return accepted.result() if accepted.done() else running.result().attempt.job_key
    finally:
        running.cancel()
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()
