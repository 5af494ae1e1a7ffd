"""Wait for a submitted task to end: the one polling loop, its rhythm, and callbacks that shorten a pause."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ..api.client import KlingClient
from ..api.models import TaskStatus
from ..api.transport import backoff_seconds, may_read_again
from ..concurrency import first_of
from ..errors import (
    ApiError,
    HostingError,
    StillRunning,
    TransportError,
    vendor_text,
)
from ..ledger.attempts import AttemptState
from .progress import Stage
from .tasks import (
    Gone,
    ask,
    asked_as,
    charge_columns,
    failure_columns,
    is_lost,
    link_columns,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..api.models import Answer, Task
    from .run import Run

logger = logging.getLogger(__name__)

TERMINAL: Final = frozenset({TaskStatus.SUCCEED, TaskStatus.FAILED})
LONGEST_PAUSE_FACTOR: Final = 6
"""While the vendor gives no answer, pauses grow up to so many times the usual one."""
UNWATCHED: Final = timedelta(hours=24)


async def wait(run: Run) -> None:
    """Bring a submitted attempt to succeeded, failed or expired.

    Raises:
        ApiError: looking again cannot help, such as a key that is refused; the task goes on.
        LeaseLost: another process took over.
    """
    absences = 0

    async def on_answer(answer: Answer[Task]) -> None:
        nonlocal absences
        absences = 0
        _require_interest(run)
        task = answer.value
        run.say(Stage.WAIT, f"Kling says: {vendor_text(task.task_status)}")
        task_id = asked_as(task, run.attempt.external_id)
        if (task.task_status, task_id) != (run.attempt.task_status, run.attempt.task_id):
            await run.note(task_id=task_id, **_seen(run, task))

    async def on_trouble(error: ApiError | TransportError, times: int) -> None:
        nonlocal absences
        _require_interest(run)
        logger.info(
            "Task %s could not be looked at (%d in a row): %s", run.attempt.task_id, times, error.message
        )
        is_missed = isinstance(error, run.client.absent)
        absences = absences + 1 if is_missed else 0
        what = f"{run.service_name} does not know the task" if is_missed else "no answer from Kling"
        run.say(Stage.WAIT, f"{what}, looking again ({times})")
        if is_missed and is_lost(run.attempt, error, absences):
            raise Gone(error.server_time if isinstance(error, ApiError) else None)

    try:
        answer = await wait_for_end(
            lambda: ask(run.client, run.attempt),
            pause=lambda seconds: _pause(run, seconds),
            poll_seconds=run.pace.poll_seconds,
            absent=run.client.absent,
            on_answer=on_answer,
            on_trouble=on_trouble,
        )
    except Gone as gone:
        ended_at = gone.server_time or run.services.clock.now()
        reason = f"{run.service_name} no longer has it."
        await run.note(state=AttemptState.EXPIRED, ended_at=ended_at, reason=reason)
        return
    await _end(run, answer)


def _seen(run: Run, task: Task) -> dict[str, Any]:
    return {
        "task_status": task.task_status,
        "vendor_created_at": task.created_at or run.attempt.vendor_created_at,
    }


def _require_interest(run: Run) -> None:
    """A task that never ends does not hold one of this server's slots for ever."""
    since = run.attempt.submitted_at
    if not run.is_wanted and since is not None and run.services.clock.now() - since > UNWATCHED:
        raise StillRunning(
            "The task has not ended within a day, and nobody waits for it.", hint="Queue it again to look."
        )


async def _pause(run: Run, seconds: float) -> None:
    """Wait `seconds`, or less when a callback names the task.

    A gateway that cannot run must not keep a paid result away: then nothing shortens the pause.
    """
    services = run.services
    try:
        gateway = await services.gateway(run.label.service)
    except HostingError as error:
        logger.info("Callbacks are not heard: %s", error.message)
        gateway = None
    if gateway is None:
        await services.clock.sleep(seconds)
        return
    await first_of(services.clock.sleep(seconds), gateway.wait_for_callback(run.task_id))


async def _end(run: Run, answer: Answer[Task]) -> None:
    task = answer.value
    changes = charge_columns(task, run.attempt.realm) | _seen(run, task)
    if task.status is TaskStatus.FAILED:
        await run.note(**changes, **failure_columns(task, run.services.clock.now()))
        return
    await run.note(state=AttemptState.SUCCEEDED, **changes, **link_columns(task))


async def wait_for_end(
    look: Callable[[], Awaitable[Answer[Task]]],
    *,
    pause: Callable[[float], Awaitable[object]],
    poll_seconds: float,
    absent: tuple[type[ApiError], ...] = KlingClient.absent,
    on_answer: Callable[[Answer[Task]], Awaitable[None]],
    on_trouble: Callable[[ApiError | TransportError, int], Awaitable[None]],
) -> Answer[Task]:
    """Look at a task until it has ended, however long that takes; cancel to stop.

    Passing failures, an undocumented status and "no such task" for an id that is known to exist do
    not end the wait: `on_trouble` hears of each with the number in a row and may raise.

    Raises:
        ApiError: an answer that looking again cannot mend, such as a refused key.
    """
    troubles = 0
    while True:
        try:
            answer = await look()
        except (ApiError, TransportError) as error:
            if not (may_read_again(error) or isinstance(error, absent)):
                raise
            troubles += 1
            await on_trouble(error, troubles)
        else:
            troubles = 0
            await on_answer(answer)
            if answer.value.status in TERMINAL:
                return answer
        longest = LONGEST_PAUSE_FACTOR * poll_seconds
        backoff = backoff_seconds(2 * poll_seconds, troubles, longest_seconds=longest) if troubles else None
        await pause(poll_seconds if backoff is None else backoff)
