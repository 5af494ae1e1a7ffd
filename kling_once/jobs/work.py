"""One attempt in this process's hands, and what every step of its life needs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..api.limits import RESULT_LIFETIME_DAYS
from ..errors import (
    ApiError,
    InvalidValue,
    JobError,
    KlingOnceError,
    LedgerNotWritable,
    ResourceMissing,
    TransportError,
)
from ..ledger.attempts import Attempt, AttemptState
from .progress import Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ..api.client import KlingClient
    from ..api.models import Answer, Task
    from ..clock import Clock
    from ..ledger.job import JobLabel
    from ..ledger.ledger import Ledger
    from ..settings import Pace, Settings
    from .hints import Hints
    from .results import ResultStore
    from .sending import Sending
    from .tickets import Line

logger = logging.getLogger(__name__)


class NobodyWaits(JobError):
    """Everybody who wanted the video let go before anything was bought."""


@dataclass
class Work:
    """An attempt whose lease this process holds."""

    attempt: Attempt
    label: JobLabel
    ledger: Ledger
    client: KlingClient
    store: ResultStore
    settings: Settings
    pace: Pace
    clock: Clock
    line: Line
    tell: Callable[[Progress], None]
    wanted: Callable[[], bool] = field(default=lambda: True)
    """Whether somebody still waits for the video; asked before money moves, never after."""
    sending: Callable[[], Awaitable[Sending]] | None = None
    """Prepares what a create needs; None where only collecting is asked for."""
    posted: bool = False
    """This process sent a create that was not refused."""
    hints: Hints | None = None
    """Where callbacks are heard."""
    _unwritten: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the ledger could not note so far."""

    async def change(self, **changes: Any) -> None:
        """Write changes to the ledger; raises LeaseLost when another process has taken over."""
        self.attempt = await self.ledger.change(self.attempt, **changes)

    async def note(self, **changes: Any) -> None:
        """Write down what became of a task that is paid; it holds here also where it cannot be written.

        It is written with the next note, or the next run finds it out again, free.

        Raises:
            LeaseLost: another process has taken over.
        """
        self._unwritten |= changes
        try:
            await self.change(**self._unwritten)
        except LedgerNotWritable as error:
            logger.warning("The ledger could not note task %s: %s", self.attempt.task_id, error.message)
            self.attempt = replace(self.attempt, **changes)
        else:
            self._unwritten = {}

    async def post(self) -> None:
        """Write down that a create is sent now; raises LeaseLost when it may not be."""
        self.attempt = await self.ledger.post(self.attempt)
        self.posted = True

    def say(self, stage: Stage, text: str, *, done: int = 0, total: int = 0) -> None:
        """Tell those who wait."""
        attempt = self.attempt
        self.tell(Progress(stage, text, attempt.job_key, attempt.task_id, done, total))

    async def adopt(self, task: Task) -> None:
        """Write down that the vendor has this attempt's task."""
        await self.change(
            state=AttemptState.SUBMITTED,
            task_id=task.task_id,
            task_status=task.task_status,
            submitted_at=self.clock.now(),
            vendor_created_at=task.created_at,
            unknown_since=None,
            reason=None,
            reason_code=None,
        )
        logger.info(
            "Task %s is attempt %d of job %s.", task.task_id, self.attempt.number, self.label.short_key
        )

    async def reject(self, error: ApiError) -> None:
        """Write down that the vendor refused and made no task."""
        await self.change(
            state=AttemptState.REJECTED,
            reason=error.message,
            reason_code=error.code,
            ended_at=self.clock.now(),
            units_reserved=None,
        )


def is_ours(task: Task, attempt: Attempt) -> bool:
    """Tell whether a task carries the attempt's external id."""
    return task.task_info.external_task_id == attempt.external_id


def is_absent(error: KlingOnceError) -> bool:
    """Tell whether the vendor said that it knows no task of that id.

    1201 is what a live probe saw, 1203 what the error table says. Everything else is no answer.
    """
    return isinstance(error, (InvalidValue, ResourceMissing))


async def look_up(client: KlingClient, external_id: str) -> Answer[Task] | None:
    """Return the task that carries an external id, or None when the vendor knows none.

    Raises:
        ApiError, TransportError: no answer to the question.
    """
    try:
        return await client.get(external_id)
    except (ApiError, TransportError) as error:
        if is_absent(error):
            return None
        raise


def is_past_lifetime(created_at: datetime | None, server_time: datetime | None) -> bool:
    """Tell whether the vendor has cleared a task's files, by the vendor's own clock."""
    if created_at is None or server_time is None:
        return False
    return server_time - created_at > timedelta(days=RESULT_LIFETIME_DAYS)
