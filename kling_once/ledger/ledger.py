"""The ledger: every job and every attempt, on disk before money moves.

Only the holder of an attempt's lease changes the attempt. All methods block for milliseconds; call
them from a worker thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import LeaseLost, LedgerTooNew
from .attempts import (
    MAX_ATTEMPTS,
    Attempt,
    AttemptState,
    add_attempt,
    add_found,
    attempt_row,
    attempt_rows,
    column_values,
    external_id_for,
    id_holder,
    milliseconds,
    sender_columns,
    take_back,
)
from .budgets import give_back_abandoned, spent_so_far
from .database import Database, translated
from .decision import (
    CarryOn,
    Open,
    Refuse,
    Reopen,
    Serve,
    Step,
    next_step,
)
from .leases import LEASE, Owner
from .notes import require_released_in
from .tables import attempts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal
    from pathlib import Path

    from ..clock import Clock
    from ..order import Sender
    from .budgets import Budget
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
    )
) | {"state": AttemptState.INTENT, "posts": 0}


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an attempt is expected to cost, and the limits it must stay under."""

    seconds: Decimal | None
    """Of the reference video; None where only the vendor can measure it."""
    units_estimated: Decimal
    units_at_most: Decimal
    budget: Budget


class Ledger:
    """One home's jobs and attempts."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.database = Database(home / "ledger.db")
        with translated(self.database.path):
            self.owner = Owner(home / "owners")
        self.clock = clock

    def close(self) -> None:
        """Let go of the file and of this process's name."""
        self.owner.close()
        self.database.close()

    def attempts_of(self, job_key: str) -> list[Attempt]:
        """Return a job's attempts in the order of their numbers."""
        with self.database.read() as connection:
            return attempt_rows(connection, job_key)

    def attempt(self, attempt_id: int) -> Attempt:
        """Return one attempt."""
        with self.database.read() as connection:
            return attempt_row(connection, attempt_id)

    def step(self, job: Job) -> Step:
        """Return what queueing this job means now, without changing anything."""
        return next_step(self.attempts_of(job.key), again=job.order.again)

    def begin(self, job: Job, sender: Sender, reservation: Reservation) -> Attempt:
        """Return the attempt that this order is about, making one where the rules allow it.

        A new or reopened attempt is leased to this process, and its units are reserved in the same
        transaction.

        Raises:
            TaskFailed, ResultGone: the rules after a failure forbid another attempt.
            BudgetReached: a limit would be passed.
            SubmissionsHeld: live submissions are on hold.
            ExternalIdTaken: the user's own id belongs to something else.
            LedgerTooNew: a newer version wrote this ledger; it may only be read.
        """
        order = job.order
        with self.database.write() as connection:
            step = next_step(attempt_rows(connection, job.key), again=order.again)
            if isinstance(step, Refuse):
                raise step.error
            if isinstance(step, (Serve, CarryOn)):
                return step.attempt
            self.require_writable()
            require_released_in(connection, order.service)
            number = step.attempt.number if isinstance(step, Reopen) else step.number
            external_id = external_id_for(connection, job, sender.profile, number)
            values = self._new_values(connection, job, sender, reservation) | {"external_id": external_id}
            if isinstance(step, Open):
                return attempt_row(connection, add_attempt(connection, job, number, values))
            connection.execute(
                sa.update(attempts)
                .where(attempts.c.attempt_id == step.attempt.attempt_id)
                .values(column_values(_REOPENED | values))
            )
            return attempt_row(connection, step.attempt.attempt_id)

    def adopt(self, job: Job, found: Iterable[tuple[int, Sender, dict[str, Any]]]) -> None:
        """Write down attempts that a lost ledger forgot; a number that is there already stays as it is."""
        self.require_writable()
        with self.database.write() as connection:
            known = {attempt.number for attempt in attempt_rows(connection, job.key)}
            for number, sender, changes in found:
                if number not in known:
                    add_found(connection, job, number, sender, self.clock.now(), changes)

    def adopt_kept(self, job: Job, sender: Sender, external_id: str, columns: dict[str, Any]) -> None:
        """Write down a result that lies in the results folder; the job is served from here on.

        It goes to the row of its task, whoever works on that; else it is one more attempt of the job.
        """
        with self.database.write() as connection:
            rows = attempt_rows(connection, job.key)
            known = next((row for row in rows if row.task_id == columns["task_id"]), None)
            if known is not None:
                take_back(connection, known, columns)
                return
            self.require_writable()
            numbers = {row.number for row in rows}
            ours = next((n for n in range(1, MAX_ATTEMPTS + 1) if job.external_id(n) == external_id), None)
            number = ours or 1
            if number in numbers:
                number = max(numbers) + 1
            named = {"external_id": external_id, "own_external_id": ours is None}
            if id_holder(connection, job.realm, sender.profile, external_id):
                # another account's task may carry the same id
                named = {"external_id": columns["task_id"], "own_external_id": False}
            add_found(connection, job, number, sender, self.clock.now(), named | columns)

    def keep_again(self, attempt: Attempt, columns: dict[str, Any]) -> Attempt:
        """Write down that an attempt's video is here, whoever was about to fetch it."""
        with self.database.write() as connection:
            take_back(connection, attempt, columns)
            return attempt_row(connection, attempt.attempt_id)

    def reserve(self, attempt: Attempt, job: Job, sender: Sender, reservation: Reservation) -> Attempt:
        """Reserve units again for an intent that had given them back; the present order pays.

        An intent of which nothing was ever sent becomes the present order's altogether: also its account
        and its external id.

        Raises:
            BudgetReached: a limit would be passed.
            ExternalIdTaken: the user's own id belongs to something else.
            LeaseLost: somebody else holds the attempt.
        """
        with self.database.write() as connection:
            changes = self._new_values(connection, job, sender, reservation)
            if attempt.posts:
                for name in ("realm", "origin", "profile", "fingerprint", "own_external_id"):
                    del changes[name]
            else:
                changes["external_id"] = external_id_for(connection, job, sender.profile, attempt.number)
            return self._changed(connection, attempt, changes)

    def claim(self, attempt: Attempt) -> Attempt | None:
        """Take the lease if it is free, expired, or held by a process that is gone.

        An intent that somebody let go of in mid-create may have become a task: it is unknown from here on.
        One that was not sent gives its reservation back: the order that goes on with it pays.
        """
        now = self.clock.now()
        dead = attempt.owner is not None and self.owner.is_dead(attempt.owner)
        free = sa.or_(
            attempts.c.owner.is_(None),
            attempts.c.owner == self.owner.name,
            attempts.c.lease_until < milliseconds(now),
            attempts.c.owner == attempt.owner if dead else sa.false(),
        )
        with self.database.write() as connection:
            current = attempt_row(connection, attempt.attempt_id)
            changes: dict[str, Any] = {"owner": self.owner.name, "lease_until": now + LEASE}
            if current.state is AttemptState.INTENT and current.posted_at:
                changes |= {"state": AttemptState.UNKNOWN, "unknown_since": now}
            elif current.state is AttemptState.INTENT and current.owner != self.owner.name:
                changes |= {"units_reserved": None}
            taken = connection.execute(
                sa.update(attempts)
                .where(attempts.c.attempt_id == attempt.attempt_id, free)
                .values(column_values(changes))
            )
            return attempt_row(connection, attempt.attempt_id) if taken.rowcount else None

    def renew(self, attempt: Attempt) -> bool:
        """Extend this process's lease; False when somebody else holds it."""
        try:
            self.change(attempt, lease_until=self.clock.now() + LEASE)
        except LeaseLost:
            return False
        return True

    def release(self, attempt: Attempt) -> None:
        """Give the lease up; an intent that was never posted gives its reservation back too."""
        never_posted = sa.and_(attempts.c.state == AttemptState.INTENT.value, attempts.c.posted_at.is_(None))
        with self.database.write() as connection:
            connection.execute(
                sa.update(attempts)
                .where(attempts.c.attempt_id == attempt.attempt_id, attempts.c.owner == self.owner.name)
                .values(
                    owner=None,
                    lease_until=None,
                    units_reserved=sa.case((never_posted, None), else_=attempts.c.units_reserved),
                )
            )

    def change(self, attempt: Attempt, **changes: Any) -> Attempt:
        """Write changes to an attempt that this process holds, and extend the lease.

        Raises:
            LeaseLost: somebody else holds it.
        """
        with self.database.write() as connection:
            return self._changed(connection, attempt, {"lease_until": self.clock.now() + LEASE} | changes)

    def post(self, attempt: Attempt) -> Attempt:
        """Write down, right before a create, that it is sent; its units must be reserved.

        Raises:
            LeaseLost: somebody else holds the attempt, or its lease ran out and its units were given back.
        """
        now = self.clock.now()
        changes = {"posted_at": now, "posts": attempt.posts + 1, "lease_until": now + LEASE}
        with self.database.write() as connection:
            return self._changed(connection, attempt, changes, attempts.c.units_reserved.is_not(None))

    def reopen_collection(self, attempt: Attempt) -> None:
        """Let a kept attempt whose file is gone be fetched again."""
        with self.database.write() as connection:
            connection.execute(
                sa.update(attempts)
                .where(
                    attempts.c.attempt_id == attempt.attempt_id, attempts.c.state == AttemptState.KEPT.value
                )
                .values(state=AttemptState.SUCCEEDED.value, owner=None, lease_until=None)
            )

    def _changed(
        self,
        connection: sa.Connection,
        attempt: Attempt,
        changes: dict[str, Any],
        *conditions: sa.ColumnElement[bool],
    ) -> Attempt:
        held = attempts.c.owner == self.owner.name
        written = connection.execute(
            sa.update(attempts)
            .where(attempts.c.attempt_id == attempt.attempt_id, held, *conditions)
            .values(column_values(changes))
        )
        if not written.rowcount:
            raise LeaseLost("Another process has taken this attempt over.")
        return attempt_row(connection, attempt.attempt_id)

    def require_writable(self) -> None:
        """Pass unless a newer version wrote this ledger.

        Raises:
            LedgerTooNew: it may only be read.
        """
        if self.database.newer_version:
            newer = self.database.newer_version
            raise LedgerTooNew(
                f"The ledger {self.database.path} was written by Kling Once {newer}.",
                hint=f"Nothing new is submitted. Install Kling Once {newer} or newer.",
            )

    def _new_values(
        self, connection: sa.Connection, job: Job, sender: Sender, reservation: Reservation
    ) -> dict[str, Any]:
        order, now = job.order, self.clock.now()
        give_back_abandoned(connection, now)
        spent = spent_so_far(connection, order.service.value, order.spender, now)
        reservation.budget.check(spent, reservation.units_at_most)
        return sender_columns(job, sender) | {
            "state": AttemptState.INTENT,
            "own_external_id": bool(order.external_task_id),
            "created_at": now,
            "seconds": reservation.seconds,
            "units_estimated": reservation.units_estimated,
            "units_reserved": reservation.units_at_most,
            "owner": self.owner.name,
            "lease_until": now + LEASE,
        }
