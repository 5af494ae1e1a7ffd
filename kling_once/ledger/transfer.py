"""Rows of one ledger copied into another: from a home to the server of a fleet, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ..errors import JobError
from .attempts import attempt_of
from .database import insert_all_ignoring
from .tables import AttemptState, attempts, graphs, jobs, uploads, workflows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .attempts import Attempt

PLAIN_TABLES: Final = (jobs, graphs, workflows, uploads)
"""Their rows mean the same in every ledger. The hold switch, the pairing code and slots stay behind."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied from a ledger."""

    rows: dict[str, list[dict[str, Any]]]
    attempts: list[Attempt]


@dataclass(frozen=True, slots=True)
class Transferred:
    """What came of a transfer."""

    jobs: int
    """New in the other ledger."""
    attempts: int
    """Likewise."""
    known: int
    """Attempts that it had already; they are left as they are."""
    left_out: tuple[str, ...]
    """External ids of attempts that it cannot take, since it has another task of that number or id."""


def read_all(connection: sa.Connection, now: datetime, is_dead: Callable[[str], bool]) -> Copy:
    """Return everything that a ledger knows of jobs.

    Raises:
        JobError: a process works on one of them.
    """
    found = [
        attempt_of(row) for row in connection.execute(sa.select(attempts).order_by(attempts.c.attempt_id))
    ]
    for attempt in found:
        is_leased = attempt.lease_until is not None and attempt.lease_until >= now
        if attempt.owner is not None and is_leased and not is_dead(attempt.owner):
            raise JobError(
                f"Job {attempt.job_key[:10]} is worked on by {attempt.owner}.",
                hint="End ComfyUI and every kling-once that use that ledger, and run again.",
                task_id=attempt.task_id,
            )
    rows = {
        table.name: [dict(row._mapping) for row in connection.execute(sa.select(table))]  # noqa: SLF001 - SQLAlchemy's documented name
        for table in PLAIN_TABLES
    }
    return Copy(rows, found)


def write_all(connection: sa.Connection, copy: Copy, fingerprints: Mapping[str, str]) -> Transferred:
    """Insert what this ledger does not have yet; whoever comes first goes on with a job that is under way.

    Args:
        connection: a transaction that writes.
        copy: of another ledger.
        fingerprints: what the fingerprints of accounts are in this ledger, by what they are in the other one.
    """
    jobs_before = _count(connection, jobs)
    for table in PLAIN_TABLES:
        insert_all_ignoring(connection, table, copy.rows[table.name])
    before = _tasks(connection)
    insert_all_ignoring(connection, attempts, [_columns(one, fingerprints) for one in copy.attempts])
    after = _tasks(connection)
    left_out = (one for one in copy.attempts if not _is_in(one, after))
    return Transferred(
        jobs=_count(connection, jobs) - jobs_before,
        attempts=len(after) - len(before),
        known=sum(_is_in(one, before) for one in copy.attempts),
        left_out=tuple(one.external_id for one in left_out),
    )


def _columns(attempt: Attempt, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    columns = asdict(attempt)
    del columns["attempt_id"]
    known = fingerprints.get(attempt.fingerprint, attempt.fingerprint)
    columns |= {"fingerprint": known, "owner": None, "lease_until": None}
    if attempt.state is AttemptState.INTENT and attempt.posted_at is None:
        columns["units_reserved"] = None  # whoever sends it reserves again
    return columns


def _tasks(connection: sa.Connection) -> dict[tuple[str, int], tuple[str, str | None]]:
    query = sa.select(attempts.c.job_key, attempts.c.number, attempts.c.external_id, attempts.c.task_id)
    return {(row.job_key, row.number): (row.external_id, row.task_id) for row in connection.execute(query)}


def _is_in(attempt: Attempt, tasks: dict[tuple[str, int], tuple[str, str | None]]) -> bool:
    """Tell whether a ledger has an attempt; one whose task it has found meanwhile is the same."""
    known = tasks.get((attempt.job_key, attempt.number))
    return known is not None and known[0] == attempt.external_id and attempt.task_id in {known[1], None}


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
