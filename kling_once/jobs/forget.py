"""Hide a job from lists. Ids, key and charge stay: forgetting never makes a total smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..errors import JobError, ResultGone
from ..ledger.attempts import (
    ENDED,
    AttemptState,
    attempt_of,
    milliseconds,
)
from ..ledger.graphs import forget_workflows
from ..ledger.tables import attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from ..ledger.attempts import Attempt
    from ..ledger.database import Database
    from .results import ResultStore


def forget(
    database: Database, store: ResultStore, job_key: str, now: datetime, *, delete_file: bool
) -> list[str]:
    """Hide a job, let go of its workflow, and on demand delete its files; return what was deleted.

    An intent that was never posted, and that nobody works on, may go as well: it holds no task. What it
    had reserved is free again. A later attempt of the same job shows it again. Blocking.

    Raises:
        ResultGone: the ledger knows no such job.
        JobError: the job is under way.
    """
    with database.write() as connection:
        known = [
            attempt_of(row)
            for row in connection.execute(sa.select(attempts).where(attempts.c.job_key == job_key))
        ]
        if not known:
            raise ResultGone(f"The ledger knows no job {job_key[:10]!r}.")
        idle = [attempt.attempt_id for attempt in known if _was_never_sent(attempt, now)]
        running = next((one for one in known if one.state not in ENDED and one.attempt_id not in idle), None)
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
        connection.execute(
            sa.update(jobs).where(jobs.c.job_key == job_key).values(hidden_at=milliseconds(now))
        )
        forget_workflows(connection, job_key)
    if not delete_file:
        return []
    return [name for attempt in known if attempt.result_path for name in _delete(store, attempt.result_path)]


def _was_never_sent(attempt: Attempt, now: datetime) -> bool:
    is_leased = attempt.owner is not None and attempt.lease_until is not None and attempt.lease_until >= now
    return attempt.state is AttemptState.INTENT and attempt.posted_at is None and not is_leased


def _delete(store: ResultStore, relative: str) -> list[str]:
    root = store.root.resolve()
    video = store.path(relative)
    gone = []
    for path in (video, video.with_suffix(".json")):
        real = path.resolve()
        if real.is_relative_to(root) and real.is_file():
            real.unlink()
            gone.append(real.relative_to(root).as_posix())
    return gone


def show_again(database: Database, job_key: str) -> None:
    """Show a hidden job again, since somebody ordered it again; blocking."""
    is_hidden = sa.and_(jobs.c.job_key == job_key, jobs.c.hidden_at.is_not(None))
    with database.read() as connection:
        hidden = connection.execute(sa.select(jobs.c.job_key).where(is_hidden)).first()
    if hidden is not None:
        with database.write() as connection:
            connection.execute(sa.update(jobs).where(is_hidden).values(hidden_at=None))
