"""Look things up in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ..api.limits import ELEMENT_PRICE, amount_text, cash_of
from ..order import SANDBOX_REALM, Kind, service_of
from .attempts import Attempt, attempt_of
from .job import JobLabel
from .tables import (
    AttemptState,
    attempts,
    graphs,
    jobs,
)

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


SHORTEST_KEY: Final = 10
"""Characters of a job key that name it: what result files and messages show."""
MOST_TASKS: Final = 10
"""How many tasks of a key Kling is asked for, to learn whether another key is of the same account."""


def find_attempt(connection: sa.Connection, text: str) -> Attempt | None:
    """Return the newest attempt named by a task id, an external id or the beginning of a job key."""
    by_key = attempts.c.job_key.startswith(text, autoescape=True) if len(text) >= SHORTEST_KEY else sa.false()
    named = sa.or_(attempts.c.task_id == text, attempts.c.external_id == text, by_key)
    query = sa.select(attempts).where(named).order_by(attempts.c.attempt_id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return attempt_of(row) if row else None


def known_tasks(connection: sa.Connection, task_ids: list[str]) -> dict[str, str]:
    """Return the job keys of those tasks that the ledger knows."""
    query = sa.select(attempts.c.task_id, attempts.c.job_key).where(attempts.c.task_id.in_(task_ids))
    return {row.task_id: row.job_key for row in connection.execute(query.order_by(attempts.c.attempt_id))}


def known_elements(connection: sa.Connection, realm: str, element_ids: list[str]) -> dict[str, str]:
    """Return the job keys of those elements of a realm that are kept here."""
    query = sa.select(attempts.c.made_element_id, attempts.c.job_key).where(
        attempts.c.realm == realm,
        attempts.c.state == AttemptState.KEPT,
        attempts.c.made_element_id.in_(element_ids),
    )
    return {row.made_element_id: row.job_key for row in connection.execute(query)}


def find_task(
    connection: sa.Connection, realm: str, name: str, profile: str, by_external_id: bool | None
) -> Attempt | None:
    """Return the newest attempt whose task a person names.

    Args:
        connection: a transaction that reads.
        realm: where the task lives.
        name: an id of the task.
        profile: whose external ids are meant.
        by_external_id: what `name` is: the external task id, the task id; None takes either.
    """
    by_id = attempts.c.task_id == name
    by_external = sa.and_(attempts.c.external_id == name, attempts.c.profile == profile)
    named = {True: by_external, False: by_id, None: sa.or_(by_id, by_external)}[by_external_id]
    query = sa.select(attempts).where(attempts.c.realm == realm, attempts.c.task_id.is_not(None), named)
    row = connection.execute(query.order_by(attempts.c.attempt_id.desc()).limit(1)).one_or_none()
    return attempt_of(row) if row else None


def label(connection: sa.Connection, job_key: str) -> JobLabel:
    """Return what a job is called."""
    row = connection.execute(sa.select(jobs).where(jobs.c.job_key == job_key)).one()
    names = row.image_name, row.video_name
    return JobLabel(job_key, service_of(row.realm), row.project, *names, row.take, Kind(row.kind))


def history(
    connection: sa.Connection,
    *,
    since: datetime | None = None,
    project: str | None = None,
) -> list[dict[str, Any]]:
    """Return every attempt with its job beside it, newest first."""
    of_attempts = (column for column in attempts.c if column.name not in jobs.c)
    started = attempts.c.created_at.label("started_at")
    query = sa.select(jobs, *of_attempts, started).join_from(jobs, attempts)
    if since is not None:
        query = query.where(attempts.c.created_at >= since)
    if project is not None:
        query = query.where(jobs.c.project == project)
    rows = connection.execute(query.order_by(attempts.c.attempt_id.desc()))
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name


def unfinished_tasks(connection: sa.Connection) -> dict[str, int]:
    """Return how many live tasks are not collected yet, by profile: only the key that made them can."""
    states = (AttemptState.UNKNOWN, AttemptState.SUBMITTED, AttemptState.SUCCEEDED)
    query = (
        sa.select(attempts.c.profile, sa.func.count().label("tasks"))
        .where(
            attempts.c.realm != SANDBOX_REALM,
            sa.or_(attempts.c.state.in_(states), _was_sent()),
        )
        .group_by(attempts.c.profile)
    )
    return {row.profile: row.tasks for row in connection.execute(query)}


def _was_sent() -> sa.ColumnElement[bool]:
    return sa.and_(attempts.c.state == AttemptState.INTENT, attempts.c.posted_at.is_not(None))


def tasks_of_keys(connection: sa.Connection, origin: str, profile: str) -> dict[tuple[str, str], list[str]]:
    """Return up to 10 task ids of every key that made videos, by the key's fingerprint and generation.

    Videos that are still to be fetched come first, of these the newest; kept ones may have to be fetched
    again. A task that was perhaps made is named by its external id.
    """
    name = sa.func.coalesce(attempts.c.task_id, attempts.c.external_id)
    states = (AttemptState.UNKNOWN, AttemptState.SUBMITTED, AttemptState.SUCCEEDED, AttemptState.KEPT)
    query = (
        sa.select(attempts.c.fingerprint, attempts.c.generation, name)
        .join_from(attempts, jobs)
        .where(
            attempts.c.origin == origin,
            attempts.c.profile == profile,
            jobs.c.kind == Kind.VIDEO,
            sa.or_(attempts.c.state.in_(states), _was_sent()),
        )
        .order_by(
            attempts.c.state == AttemptState.KEPT,
            attempts.c.task_id.is_(None),
            attempts.c.attempt_id.desc(),
        )
    )
    known: dict[tuple[str, str], list[str]] = {}
    for fingerprint, generation, task in connection.execute(query):
        tasks = known.setdefault((fingerprint, generation), [])
        if len(tasks) < MOST_TASKS:
            tasks.append(task)
    return known


def collectable(connection: sa.Connection, now: datetime, owner: str) -> list[Attempt]:
    """Return the attempts that exist at the vendor, or may, and that no other than `owner` holds."""
    states = (AttemptState.UNKNOWN, AttemptState.SUBMITTED, AttemptState.SUCCEEDED)
    is_free = sa.or_(attempts.c.owner.is_(None), attempts.c.owner == owner, attempts.c.lease_until < now)
    query = sa.select(attempts).where(sa.or_(attempts.c.state.in_(states), _was_sent()), is_free)
    return [attempt_of(row) for row in connection.execute(query.order_by(attempts.c.attempt_id))]


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


def list_jobs(connection: sa.Connection, wanted: Page) -> tuple[int, list[dict[str, Any]]]:
    """Return how many jobs there are, and a page of them with their newest attempt."""
    # asked of each attempt: the database walks them backwards then, and stops after a page
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
    total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
    rows = connection.execute(page)
    return total, [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name


def _conditions(wanted: Page) -> list[sa.ColumnElement[bool]]:
    if wanted.job_key:
        return [jobs.c.job_key == wanted.job_key]
    found = [sa.or_(jobs.c.hidden_at.is_(None), attempts.c.created_at > jobs.c.hidden_at)]
    if wanted.shown is not Shown.ALL:
        found.append(attempts.c.state.in_(STATES[wanted.shown]))
    for word in wanted.search.split()[:10]:
        columns = (
            jobs.c.project,
            jobs.c.element_name,
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


LEARNED_FROM: Final = 20
"""Past jobs of the same service, model and mode; newer ones tell more."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is usual for a job, and what it costs."""

    seconds: float | None
    """From acceptance to the kept file; None without a past."""
    price: str
    """In words; empty when it is not known."""


def expectation(connection: sa.Connection, job_key: str) -> Expectation:
    """Return what to expect of a job's newest attempt."""
    query = (
        sa.select(jobs.c.service, jobs.c.kind, jobs.c.model, jobs.c.mode, attempts)
        .join_from(jobs, attempts)
        .where(jobs.c.job_key == job_key)
        .order_by(attempts.c.attempt_id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return Expectation(None, "")
    pace = pace_of(connection, row.service, row.model, row.mode)
    price = ELEMENT_PRICE if row.kind == Kind.ELEMENT else _price(row.units_estimated, row.realm)
    return Expectation(usual_seconds(pace, row.seconds), price)


def pace_of(connection: sa.Connection, service: str, model: str, mode: str) -> float | None:
    """Return how many seconds past jobs took for a second of their clips; None without a past job.

    Where there is none, every attempt of the ledger is read.
    """
    past = (
        sa.select(attempts.c.submitted_at, attempts.c.ended_at, attempts.c.seconds)
        .join_from(jobs, attempts)
        .where(
            jobs.c.service == service,
            jobs.c.model == model,
            jobs.c.mode == mode,
            attempts.c.state == AttemptState.KEPT,
            attempts.c.posts > 0,
            attempts.c.submitted_at.is_not(None),
            attempts.c.ended_at.is_not(None),
            attempts.c.seconds.is_not(None),
        )
        .order_by(attempts.c.attempt_id.desc())
        .limit(LEARNED_FROM)
    )
    paces = [
        (ended - submitted).total_seconds() / float(seconds)
        for submitted, ended, seconds in connection.execute(past)
        if seconds > 0
    ]
    return median(paces) if paces else None


def usual_seconds(pace: float | None, clip_seconds: Decimal | None) -> float | None:
    """Return how long a job of such a clip takes; None where one of both is not known."""
    return None if pace is None or clip_seconds is None else pace * float(clip_seconds)


def _price(estimated: Decimal | None, realm: str) -> str:
    if estimated is None:
        return ""
    units = amount_text(estimated, "units")
    if realm == SANDBOX_REALM:
        return f"free (would be up to {units})"
    return f"up to {units} ({amount_text(*cash_of(estimated, china=realm == 'china'))})"


def earlier_origin(connection: sa.Connection, profile: str) -> str | None:
    """Return where the newest live task of a profile went, which may no longer be configured."""
    query = (
        sa.select(attempts.c.origin)
        .where(attempts.c.profile == profile, attempts.c.realm != SANDBOX_REALM)
        .order_by(attempts.c.attempt_id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()
