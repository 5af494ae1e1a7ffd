"""The ledger's jobs as a list: newest first, searched, filtered, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from .attempt import AttemptState
from .tables import attempts, graphs, jobs

if TYPE_CHECKING:
    from .database import Database


class Shown(StrEnum):
    """Which jobs a list shows."""

    ALL = "all"
    UNDER_WAY = "under_way"
    KEPT = "kept"
    FAILED = "failed"


STATES = {
    Shown.UNDER_WAY: (
        AttemptState.INTENT,
        AttemptState.UNKNOWN,
        AttemptState.SUBMITTED,
        AttemptState.SUCCEEDED,
    ),
    Shown.KEPT: (AttemptState.KEPT,),
    Shown.FAILED: (AttemptState.FAILED, AttemptState.EXPIRED, AttemptState.REJECTED),
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a list is asked for."""

    offset: int = 0
    limit: int = 100
    search: str = ""
    shown: Shown = Shown.ALL
    job_key: str = ""
    """Only this job; also when it is hidden."""


def list_jobs(database: Database, wanted: Page) -> tuple[int, list[dict[str, Any]]]:
    """Return how many jobs there are, and a page of them with their newest attempt; blocking."""
    # asked of each attempt: SQLite walks them backwards then, and stops after a page, however many there are
    later = attempts.alias()
    is_newest = ~sa.exists(later.c.attempt_id).where(
        later.c.job_key == attempts.c.job_key, later.c.attempt_id > attempts.c.attempt_id
    )
    query = sa.select(
        jobs,
        *(column for column in attempts.c if column.name not in jobs.c),
        attempts.c.created_at.label("started_at"),
        sa.exists().where(graphs.c.job_key == jobs.c.job_key, graphs.c.workflow != "").label("has_workflow"),
    ).join_from(attempts, jobs)
    query = query.where(is_newest, *_conditions(wanted))
    page = query.order_by(attempts.c.attempt_id.desc()).limit(wanted.limit).offset(wanted.offset)
    with database.read() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
        rows = connection.execute(page)
        return total, [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name


def _conditions(wanted: Page) -> list[sa.ColumnElement[bool]]:
    if wanted.job_key:
        return [jobs.c.job_key == wanted.job_key]
    found = [sa.or_(jobs.c.hidden_at.is_(None), attempts.c.created_at > jobs.c.hidden_at)]
    if wanted.shown is not Shown.ALL:
        found.append(attempts.c.state.in_([state.value for state in STATES[wanted.shown]]))
    for word in wanted.search.split()[:10]:
        columns = (
            jobs.c.project,
            jobs.c.image_name,
            jobs.c.video_name,
            jobs.c.prompt,
            jobs.c.model,
            attempts.c.task_id,
            attempts.c.external_id,
            attempts.c.profile,
        )
        found.append(
            sa.or_(
                *(column.icontains(word, autoescape=True) for column in columns),
                jobs.c.job_key.startswith(word, autoescape=True),
            )
        )
    return found
