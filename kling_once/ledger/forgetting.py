"""Hide a job from lists. Ids, key and charge stay: forgetting never makes a total smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..errors import JobError, ResultGone
from .attempts import attempt_rows
from .graphs import forget_workflows
from .tables import AttemptState, attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from .attempts import Attempt


def hide(connection: sa.Connection, job_key: str, now: datetime) -> list[Attempt]:
    """Hide a job and delete its workflow; return the job's attempts.

    An intent that was never posted, and that nobody works on, may be hidden as well: it holds no task, and
    what it had reserved is free again. A later attempt of the same job shows it again.

    Raises:
        ResultGone: the ledger knows no such job.
        JobError: the job is under way.
    """
    known = attempt_rows(connection, job_key)
    if not known:
        raise ResultGone(f"The ledger knows no job {job_key[:10]!r}.")
    idle = [attempt.attempt_id for attempt in known if _was_never_sent(attempt, now)]
    running = next((one for one in known if not one.has_ended and one.attempt_id not in idle), None)
    if running is not None:
        raise JobError(
            f"Job {job_key[:10]} is not done ({running.state.value}).",
            hint="Collect it first: what is paid must not be lost from sight.",
            task_id=running.task_id,
        )
    connection.execute(
        sa.update(attempts)
        .where(attempts.c.attempt_id.in_(idle))
        .values(owner=None, lease_until=None, units_reserved=None)
    )
    connection.execute(sa.update(jobs).where(jobs.c.job_key == job_key).values(hidden_at=now))
    forget_workflows(connection, job_key)
    return known


def _was_never_sent(attempt: Attempt, now: datetime) -> bool:
    is_leased = attempt.owner is not None and attempt.lease_until is not None and attempt.lease_until >= now
    return attempt.state is AttemptState.INTENT and attempt.posted_at is None and not is_leased


def is_hidden(connection: sa.Connection, job_key: str) -> bool:
    """Tell whether a job is hidden."""
    query = sa.select(jobs.c.job_key).where(jobs.c.job_key == job_key, jobs.c.hidden_at.is_not(None))
    return connection.execute(query).first() is not None


def show_again(connection: sa.Connection, job_key: str) -> None:
    """Show a hidden job again."""
    connection.execute(sa.update(jobs).where(jobs.c.job_key == job_key).values(hidden_at=None))
