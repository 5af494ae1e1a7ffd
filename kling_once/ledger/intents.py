"""An intent: the attempt that is on disk, its units reserved, before its create is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import ExternalIdTaken
from .attempts import (
    add_attempt,
    attempt_of,
    attempt_rows,
    set_columns,
)
from .budgets import give_back_abandoned, spent_so_far
from .database import exclusive
from .decision import (
    CarryOn,
    Open,
    Refuse,
    Reopen,
    Serve,
    next_step,
)
from .leases import LEASE, change
from .notes import require_released
from .tables import AttemptState, attempts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..order import Sender
    from .attempts import Attempt
    from .budgets import Reservation
    from .job import Job

_REOPENED: dict[str, Any] = dict.fromkeys(
    (
        "posted_at",
        "unknown_since",
        "ended_at",
        "task_id",
        "task_status",
        "reason",
        "reason_code",
        "units_charged",
        "cash_charged",
        "currency",
        "unread_charge",
    )
) | {"posts": 0}
"""What the refused create of an attempt left behind."""


def begin(
    connection: sa.Connection,
    now: datetime,
    job: Job,
    sender: Sender,
    reservation: Reservation,
    *,
    owner: str,
    require_writable: Callable[[sa.Connection], None],
) -> Attempt:
    """Return the attempt that an order is about, inserting one where the rules allow it.

    A new or reopened attempt is leased to `owner`, and its units are reserved in the same transaction.

    Raises:
        TaskFailed, ResultGone: the rules after a failure forbid another attempt.
        BudgetReached: a limit would be passed.
        SubmissionsHeld: live submissions are on hold.
        ExternalIdTaken: the user's own id belongs to something else.
        LedgerTooNew: a newer version wrote this ledger; it may only be read.
    """
    step = next_step(attempt_rows(connection, job.key, for_change=True), again=job.order.again)
    if isinstance(step, Refuse):
        raise step.error
    if isinstance(step, (Serve, CarryOn)):
        return step.attempt
    require_writable(connection)
    require_released(connection, job.order.service)
    number = step.attempt.number if isinstance(step, Reopen) else step.number
    columns = {
        **_reserved(connection, now, job, sender, reservation, owner),
        "external_id": external_id_for(connection, job, sender.profile, number),
    }
    if isinstance(step, Open):
        return add_attempt(connection, job.columns, number, columns)
    return set_columns(connection, step.attempt.attempt_id, _REOPENED | columns)


def reserve(
    connection: sa.Connection,
    now: datetime,
    attempt: Attempt,
    job: Job,
    sender: Sender,
    reservation: Reservation,
    *,
    owner: str,
) -> Attempt:
    """Reserve units again for an intent that had given them back; the present order pays.

    An intent of which nothing was ever sent becomes the present order's altogether: also its account and
    its external id.

    Raises:
        BudgetReached: a limit would be passed.
        ExternalIdTaken: the user's own id belongs to something else.
        LeaseLost: another process holds the attempt.
    """
    columns = _reserved(connection, now, job, sender, reservation, owner)
    if attempt.posts:
        for name in ("realm", "origin", "profile", "fingerprint", "generation", "own_external_id"):
            del columns[name]
    else:
        columns["external_id"] = external_id_for(connection, job, sender.profile, attempt.number)
    return change(connection, attempt, owner, columns)


def _reserved(
    connection: sa.Connection,
    now: datetime,
    job: Job,
    sender: Sender,
    reservation: Reservation,
    owner: str,
) -> dict[str, Any]:
    """Return the columns of an intent, once its units are within every limit."""
    order = job.order
    exclusive(connection, "spending", order.service.value)
    give_back_abandoned(connection, now, order.service)
    spent = spent_so_far(connection, now, order.service, order.spender)
    reservation.budget.check(spent, reservation.units)
    return job.sent_by(sender) | {
        "state": AttemptState.INTENT,
        "own_external_id": bool(order.external_task_id),
        "created_at": now,
        "seconds": reservation.seconds,
        "units_estimated": reservation.units,
        "units_reserved": reservation.units,
        "owner": owner,
        "lease_until": now + LEASE,
    }


def id_holder(connection: sa.Connection, realm: str, profile: str, external_id: str) -> Attempt | None:
    """Return the attempt that has an external id, None where it is free."""
    query = sa.select(attempts).where(
        attempts.c.realm == realm, attempts.c.profile == profile, attempts.c.external_id == external_id
    )
    row = connection.execute(query).one_or_none()
    return attempt_of(row) if row else None


def external_id_for(connection: sa.Connection, job: Job, profile: str, number: int) -> str:
    """Return the external id under which a job's attempt `number` is to be created.

    Raises:
        ExternalIdTaken: the user's own id belongs to something else.
    """
    wanted = job.order.external_task_id
    if not wanted:
        return job.external_id(number)
    if number > 1:
        raise ExternalIdTaken(
            f"The task id {wanted!r} of your own named this job's first attempt.",
            hint="Leave external_task_id empty, or give another one, to try again.",
        )
    holder = id_holder(connection, job.realm, profile, wanted)
    if holder and holder.job_key != job.key:
        raise ExternalIdTaken(
            f"The task id {wanted!r} of your own belongs to another job, {holder.job_key[:10]}.",
            hint="Give another external_task_id, or leave it empty.",
            task_id=holder.task_id,
        )
    return wanted
