"""The lease of an attempt: only the process that holds it posts, writes the attempt, or downloads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio
import filelock
import sqlalchemy as sa

from ..errors import LeaseLost
from . import slots
from .attempts import attempt_row
from .tables import AttemptState, attempts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from ..clock import Clock
    from .attempts import Attempt

logger = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=60)
RENEW_SECONDS: Final = 10.0


class Owner:
    """This process's name in leases, and a file lock that the system releases when the process dies.

    The lock lets another process of the same machine and home take over from a killed one at once. Between
    machines, and between homes that share a server, the end of the lease alone decides.
    """

    def __init__(self, folder: Path, *, files_are_all: bool = True) -> None:
        """Make a name and lock its file in `folder`; blocking.

        Args:
            folder: of the home.
            files_are_all: every owner of the ledger has its file in this folder for as long as it lives.
                Where several homes share a server, a file that is missing proves nothing.
        """
        self._folder = folder
        self._files_are_all = files_are_all
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._host = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:40]
        self.name = f"{self._host}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = filelock.FileLock(self._path(self.name), thread_local=False)
        self._lock.acquire(timeout=0)

    def close(self) -> None:
        """Release the lock and remove its file."""
        self._lock.release()
        self._path(self.name).unlink(missing_ok=True)

    def is_dead(self, name: str) -> bool:
        """Tell whether another owner is certainly gone; False where that cannot be known.

        Locks are trusted on the machine that took them. An owner has its lock before it has a lease, so
        one whose lock file is missing has closed, or was found dead before, unless its home is another.
        """
        path = self._path(name)
        if name == self.name or name.partition("-")[0] != self._host:
            return False
        if not path.is_file():
            return self._files_are_all
        try:
            with filelock.FileLock(path, timeout=0):
                pass
        except (filelock.Timeout, OSError, NotImplementedError):
            return False
        if self._files_are_all:
            path.unlink(missing_ok=True)
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


class HeldLease:
    """How long this process has a lease for certain, known without asking the ledger.

    A process that was suspended goes on where it stood, before any timer or heartbeat tells it that others
    have taken over meanwhile. Two clocks count, since the monotonic one stands still while a machine sleeps.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin when the lease is about to be taken.

        Args:
            clock: of this process.
        """
        self.clock = clock
        self._since = self.moment()

    def moment(self) -> tuple[float, datetime]:
        """Return what both clocks say."""
        return self.clock.monotonic(), self.clock.now()

    def extend(self, since: tuple[float, datetime]) -> None:
        """Note that the lease was renewed; `since` is the moment before the ledger was asked for that."""
        self._since = since

    def is_certain(self) -> bool:
        """Tell whether nobody else can have taken the attempt over by now."""
        began, began_at = self._since
        monotonic, now = self.moment()
        return monotonic - began < LEASE.total_seconds() and now - began_at < LEASE


@contextlib.asynccontextmanager
async def renewed(renew: Callable[[], Awaitable[bool]], lease: HeldLease) -> AsyncIterator[None]:
    """Send a heartbeat for a lease while the block runs; cancel the block when the lease is lost.

    A renewal that fails is tried again: every change of the attempt checks the lease anyway.

    Args:
        renew: extends the lease; False when another process holds it.
        lease: is extended with each renewal; its clock waits between them.

    Raises:
        LeaseLost: another process holds it now.
    """
    lost = False
    with anyio.CancelScope() as scope:

        async def keep() -> None:
            nonlocal lost
            level = logging.WARNING
            while not lost:
                await lease.clock.sleep(RENEW_SECONDS)
                moment = lease.moment()
                try:
                    lost = not await renew()
                except Exception as error:  # noqa: BLE001 - the keeper's end would hide the outcome of paid work
                    logger.log(level, "The lease could not be renewed: %s", error)
                    level = logging.DEBUG  # one line for an outage, however long
                else:
                    level = logging.WARNING
                    if not lost:
                        lease.extend(moment)
            scope.cancel()

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.wait({keeper})
    if lost:
        raise LeaseLost("Another process has taken this attempt over.")


def look(connection: sa.Connection, now: datetime, attempt: Attempt, owner: Owner) -> tuple[Attempt, bool]:
    """Return an attempt as it is now, and whether a living process other than `owner` holds it."""
    current = attempt_row(connection, attempt.attempt_id)
    return current, _is_held(current, now, owner)


def claim(connection: sa.Connection, now: datetime, attempt: Attempt, owner: Owner) -> Attempt | None:
    """Take the lease if it is free, expired, or held by a process that is gone; None when it is held.

    An intent whose holder stopped in mid-create may have become a task: it is unknown from here on. One
    that was not sent gives its reservation and its place back: the order that goes on with it pays.
    """
    current = attempt_row(connection, attempt.attempt_id, for_change=True)
    if _is_held(current, now, owner):
        return None
    changes: dict[str, Any] = {"owner": owner.name, "lease_until": now + LEASE}
    if current.state is AttemptState.INTENT and current.posted_at:
        changes |= {"state": AttemptState.UNKNOWN, "unknown_since": now}
    elif current.state is AttemptState.INTENT and current.owner != owner.name:
        changes |= {"units_reserved": None}
        slots.forget(connection, attempt.attempt_id)
    connection.execute(sa.update(attempts).where(attempts.c.attempt_id == attempt.attempt_id).values(changes))
    return attempt_row(connection, attempt.attempt_id)


def _is_held(current: Attempt, now: datetime, owner: Owner) -> bool:
    """Tell whether a living process other than `owner` holds the lease of an attempt."""
    if current.owner is None or current.owner == owner.name:
        return False
    is_over = current.lease_until is None or current.lease_until < now
    return not is_over and not owner.is_dead(current.owner)


def change(
    connection: sa.Connection,
    attempt: Attempt,
    owner: str,
    changes: dict[str, Any],
    *conditions: sa.ColumnElement[bool],
) -> Attempt:
    """Update an attempt that this process holds, compare-and-set; return it as it is now.

    Raises:
        LeaseLost: another process holds it, or one of the further `conditions` does not hold.
    """
    written = connection.execute(
        sa.update(attempts)
        .where(attempts.c.attempt_id == attempt.attempt_id, attempts.c.owner == owner, *conditions)
        .values(changes)
    )
    if not written.rowcount:
        raise LeaseLost("Another process has taken this attempt over.")
    return attempt_row(connection, attempt.attempt_id)


def change_and_extend(
    connection: sa.Connection, now: datetime, attempt: Attempt, owner: str, changes: dict[str, Any]
) -> Attempt:
    """Update an attempt that this process holds, and extend its lease; return it as it is now.

    Raises:
        LeaseLost: another process holds it.
    """
    return change(connection, attempt, owner, {"lease_until": now + LEASE} | changes)


def post(connection: sa.Connection, now: datetime, attempt: Attempt, owner: str) -> Attempt:
    """Note, right before a create, that it is sent; return the attempt as it is now.

    Raises:
        LeaseLost: another process holds the attempt, or its lease ran out and its units were given back.
    """
    changes = {"posted_at": now, "posts": attempt.posts + 1, "lease_until": now + LEASE}
    return change(connection, attempt, owner, changes, attempts.c.units_reserved.is_not(None))


def release(connection: sa.Connection, attempt: Attempt, owner: str) -> None:
    """Give the lease up; an intent that was never posted gives its reservation and its place back too."""
    never_posted = sa.and_(attempts.c.state == AttemptState.INTENT, attempts.c.posted_at.is_(None))
    is_ours = sa.and_(attempts.c.attempt_id == attempt.attempt_id, attempts.c.owner == owner)
    if connection.execute(sa.select(attempts.c.attempt_id).where(is_ours, never_posted)).first():
        slots.forget(connection, attempt.attempt_id)
    connection.execute(
        sa.update(attempts)
        .where(is_ours)
        .values(
            owner=None,
            lease_until=None,
            units_reserved=sa.case((never_posted, None), else_=attempts.c.units_reserved),
        )
    )


def reopen_collection(connection: sa.Connection, attempt: Attempt) -> None:
    """Let a kept attempt whose file is gone be fetched again."""
    connection.execute(
        sa.update(attempts)
        .where(attempts.c.attempt_id == attempt.attempt_id, attempts.c.state == AttemptState.KEPT)
        .values(state=AttemptState.SUCCEEDED, owner=None, lease_until=None)
    )
