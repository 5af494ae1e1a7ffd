"""Attempts that this ledger did not make: tasks found at the vendor, results found on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..api.motion_control import MOTION_SETTINGS
from ..order import Kind
from .attempts import (
    MAX_ATTEMPTS,
    add_attempt,
    attempt_rows,
    set_columns,
)
from .intents import id_holder
from .tables import AttemptState, attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ..order import Sender, Service
    from .attempts import Attempt
    from .job import Job

ADOPTED_IMAGE_NAME = "task"
"""Begins the file name of an adopted task's result, in place of a picture's name."""


def adopt(
    connection: sa.Connection,
    now: datetime,
    job: Job,
    found: Iterable[tuple[int, Sender, dict[str, Any]]],
) -> None:
    """Insert attempts that a lost ledger forgot; a number that is there already stays as it is.

    Args:
        connection: a transaction that writes.
        now: the moment of the insertion.
        job: whose attempts they are.
        found: number, account and columns of each.
    """
    known = {attempt.number for attempt in attempt_rows(connection, job.key, for_change=True)}
    for number, sender, columns in found:
        if number not in known:
            _add_found(connection, job, number, sender, now, columns)


def adopt_task(
    connection: sa.Connection,
    now: datetime,
    task_key: str,
    realm: str,
    origin: str,
    service: Service,
    project: str,
    *,
    sender: Sender,
    columns: dict[str, Any],
) -> Attempt:
    """Insert a task of the account as a job of its own, unless it is there; return its attempt.

    Nothing is known of its order, so its settings are empty. Its external id is the task id: ours and the
    user's own ids stay free for the jobs that they name.
    """
    known = attempt_rows(connection, task_key, for_change=True)
    if known:
        return known[-1]
    task_id = columns["task_id"]
    job_columns = {
        "job_key": task_key,
        "service": service.value,
        "realm": realm,
        "project": project,
        "kind": Kind.VIDEO.value,
        "element_name": "",
        **{item.name: type(item.default)() for item in MOTION_SETTINGS},
        "image_name": ADOPTED_IMAGE_NAME,
        "video_name": task_id,
        "image_digest": "",
        "video_digest": "",
        "adopted": True,
    }
    sent = {
        "realm": realm,
        "origin": origin,
        "profile": sender.profile,
        "fingerprint": sender.fingerprint,
        "generation": sender.generation,
        "prompt_id": "",
        "node_id": "",
    }
    named = {"external_id": task_id, "own_external_id": False, "created_at": now}
    return add_attempt(connection, job_columns, 1, sent | columns | named)


def adopt_kept(
    connection: sa.Connection,
    now: datetime,
    job: Job,
    sender: Sender,
    external_id: str,
    columns: dict[str, Any],
    *,
    require_writable: Callable[[sa.Connection], None],
) -> None:
    """Note a result that lies in the results folder; the job is served from here on.

    It goes to the row of its task, whoever works on that; else it is one more attempt of the job.

    Raises:
        LedgerTooNew: a newer version wrote this ledger, and the task has no row.
    """
    rows = attempt_rows(connection, job.key, for_change=True)
    known = next((row for row in rows if row.task_id == columns["task_id"]), None)
    if known is not None:
        keep_again(connection, known, columns)
        return
    require_writable(connection)
    numbers = {row.number for row in rows}
    ours = next((n for n in range(1, MAX_ATTEMPTS + 1) if job.external_id(n) == external_id), None)
    number = ours or 1
    if number in numbers:
        number = max(numbers) + 1
    named = {"external_id": external_id, "own_external_id": ours is None}
    if id_holder(connection, job.realm, sender.profile, external_id):
        # another account's task may carry the same id
        named = {"external_id": columns["task_id"], "own_external_id": False}
    _add_found(connection, job, number, sender, now, named | columns)


def keep_again(connection: sa.Connection, attempt: Attempt, columns: dict[str, Any]) -> Attempt:
    """Note that an attempt's video is here; whoever works on it loses the lease, and serves the file."""
    kept = {"state": AttemptState.KEPT, "owner": None, "lease_until": None}
    return set_columns(connection, attempt.attempt_id, columns | kept)


def elements_gone(connection: sa.Connection, realm: str, element_ids: list[str], now: datetime) -> None:
    """End the attempts whose elements were deleted."""
    connection.execute(
        sa.update(attempts)
        .where(
            attempts.c.realm == realm,
            attempts.c.state == AttemptState.KEPT,
            attempts.c.made_element_id.in_(element_ids),
        )
        .values(state=AttemptState.EXPIRED, ended_at=now, reason="The element was deleted.")
    )


def _add_found(
    connection: sa.Connection, job: Job, number: int, sender: Sender, now: datetime, columns: dict[str, Any]
) -> None:
    """Insert an attempt that was made elsewhere; nothing is reserved for it, so it counts for no limit."""
    named = {"external_id": job.external_id(number), "own_external_id": False, "created_at": now}
    add_attempt(connection, job.columns, number, job.sent_by(sender) | named | columns)
