"""Look things up in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .attempt import Attempt, AttemptState, attempt_of, milliseconds
from .job import SANDBOX_REALM
from .tables import attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from .database import Database

SHORTEST_KEY: Final = 10
"""Characters of a job key that name it: what result files and messages show."""


def find_attempt(database: Database, text: str) -> Attempt | None:
    """Return the newest attempt named by a task id, an external id or the beginning of a job key."""
    by_key = attempts.c.job_key.startswith(text, autoescape=True) if len(text) >= SHORTEST_KEY else sa.false()
    named = sa.or_(attempts.c.task_id == text, attempts.c.external_id == text, by_key)
    query = sa.select(attempts).where(named).order_by(attempts.c.attempt_id.desc()).limit(1)
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    return attempt_of(row) if row else None


def known_tasks(database: Database, task_ids: list[str]) -> dict[str, str]:
    """Return the job keys of those tasks that the ledger knows."""
    query = sa.select(attempts.c.task_id, attempts.c.job_key).where(attempts.c.task_id.in_(task_ids))
    with database.read() as connection:
        return {row.task_id: row.job_key for row in connection.execute(query.order_by(attempts.c.attempt_id))}


def job_row(database: Database, job_key: str) -> sa.Row[Any]:
    """Return a job's row."""
    with database.read() as connection:
        return connection.execute(sa.select(jobs).where(jobs.c.job_key == job_key)).one()


def history(
    database: Database,
    *,
    since: datetime | None = None,
    project: str | None = None,
) -> list[dict[str, Any]]:
    """Return every attempt with its job beside it, newest first."""
    of_attempts = (column for column in attempts.c if column.name not in jobs.c)
    started = attempts.c.created_at.label("started_at")
    query = sa.select(jobs, *of_attempts, started).join_from(jobs, attempts)
    if since is not None:
        query = query.where(attempts.c.created_at >= milliseconds(since))
    if project is not None:
        query = query.where(jobs.c.project == project)
    with database.read() as connection:
        rows = connection.execute(query.order_by(attempts.c.attempt_id.desc()))
        return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name


def unfinished_tasks(database: Database) -> dict[str, int]:
    """Return how many live tasks are not collected yet, by profile: only the key that made them can."""
    states = (AttemptState.UNKNOWN, AttemptState.SUBMITTED, AttemptState.SUCCEEDED)
    was_sent = sa.and_(attempts.c.state == AttemptState.INTENT.value, attempts.c.posted_at.is_not(None))
    query = (
        sa.select(attempts.c.profile, sa.func.count().label("tasks"))
        .where(
            attempts.c.realm != SANDBOX_REALM,
            sa.or_(attempts.c.state.in_([state.value for state in states]), was_sent),
        )
        .group_by(attempts.c.profile)
    )
    with database.read() as connection:
        return {row.profile: row.tasks for row in connection.execute(query)}
