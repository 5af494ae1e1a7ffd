"""Slots: how many tasks an account runs at once, over every process of the ledger; first come, first served.

How many Kling allows stands in no answer: it is learned from refusals, and learned anew when more tasks run
than the last refusal left room for. A slot needs no giving back: it counts while its attempt may have a task
that has not ended, and somebody holds the attempt's lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from .database import exclusive, insert_ignoring, upsert
from .tables import AttemptState, attempts, rooms, slots

if TYPE_CHECKING:
    from datetime import datetime

    from .attempts import Attempt

PROBES: Final = 3
"""Creates on their way while nothing is known of the room; each that is accepted allows one more."""
RAISE_AFTER: Final = timedelta(minutes=2)
"""How long after a refusal one task more is tried: a pack may have grown, another program have ended."""
MAY_RUN: Final = (AttemptState.INTENT, AttemptState.UNKNOWN, AttemptState.SUBMITTED)


@dataclass(frozen=True, slots=True)
class Room:
    """What Kling counts together: the tasks of one account, model version and kind of pack."""

    origin: str
    fingerprint: str
    model: str
    pack: str = "video"

    @property
    def name(self) -> str:
        """Return it as it stands in the ledger."""
        return f"{self.fingerprint}@{self.origin} {self.model} {self.pack}"


@dataclass(frozen=True, slots=True)
class Line:
    """Who may be sent to a room now, and who waits there for others to end; attempts by their ids."""

    allowed: frozenset[int]
    """They have a slot, or there are enough for them and all who came before."""
    waiting: frozenset[int]

    def lets(self, attempt: Attempt) -> bool:
        """Tell whether it is worth while to try `take`: one that is not in the line yet has to."""
        return attempt.attempt_id not in self.waiting


@dataclass(frozen=True, slots=True)
class _Slot:
    attempt_id: int
    is_taken: bool
    is_accepted: bool


def line(connection: sa.Connection, now: datetime, room: Room, most: int | None) -> Line:
    """Return who waits in a room: a look that holds nobody up."""
    found = _slots(connection, now, room)
    taken = [slot.attempt_id for slot in found if slot.is_taken]
    waiting = [slot.attempt_id for slot in found if not slot.is_taken]
    most_now = _allowed(connection, now, room, accepted=sum(slot.is_accepted for slot in found))
    free = max(0, (most_now if most is None else min(most_now, most)) - len(taken))
    return Line(frozenset(taken + waiting[:free]), frozenset(waiting[free:]))


def take(connection: sa.Connection, now: datetime, attempt: Attempt, room: Room, most: int | None) -> bool:
    """Take a slot for an attempt whose lease this process holds, or keep its place in the line.

    Args:
        connection: a transaction that writes.
        now: decides which leases count.
        attempt: to be sent.
        room: where it takes its slot.
        most: how many tasks the operator allows there; None for as many as Kling does.

    Returns:
        Whether it has a slot now.
    """
    exclusive(connection, "room", room.name)
    _clear(connection, attempt, room)
    insert_ignoring(connection, slots, {"attempt_id": attempt.attempt_id, "room": room.name})
    if attempt.attempt_id not in line(connection, now, room, most).allowed:
        return False
    of_attempt = sa.and_(slots.c.attempt_id == attempt.attempt_id, slots.c.taken_at.is_(None))
    connection.execute(sa.update(slots).where(of_attempt).values(taken_at=now))
    return True


def refuse(connection: sa.Connection, now: datetime, attempt: Attempt, room: Room) -> None:
    """Note that Kling refused one task more (1303): the attempt goes back to its place in the line.

    As many are believed to be allowed as have slots beside it: none where other programs fill the account.
    Those on their way count, since their own refusals lower it.
    """
    exclusive(connection, "room", room.name)
    of_attempt = slots.c.attempt_id == attempt.attempt_id
    connection.execute(sa.update(slots).where(of_attempt).values(taken_at=None))
    others = sum(slot.is_taken for slot in _slots(connection, now, room))
    upsert(connection, rooms, {"room": room.name, "believed": others, "refused_at": now})


def forget(connection: sa.Connection, attempt_id: int) -> None:
    """Give an attempt's place in the line up."""
    connection.execute(sa.delete(slots).where(slots.c.attempt_id == attempt_id))


def _clear(connection: sa.Connection, attempt: Attempt, room: Room) -> None:
    """Remove what is over from a room, and the attempt from every other room."""
    ended = sa.select(attempts.c.attempt_id).where(
        attempts.c.attempt_id == slots.c.attempt_id, attempts.c.state.not_in(MAY_RUN)
    )
    is_over = sa.and_(slots.c.room == room.name, sa.exists(ended))
    is_elsewhere = sa.and_(slots.c.attempt_id == attempt.attempt_id, slots.c.room != room.name)
    connection.execute(sa.delete(slots).where(sa.or_(is_over, is_elsewhere)))


def _slots(connection: sa.Connection, now: datetime, room: Room) -> list[_Slot]:
    """Return who has a slot in a room or waits for one, in the order in which they came."""
    query = (
        sa.select(slots.c.attempt_id, slots.c.taken_at, attempts.c.state)
        .join_from(slots, attempts)
        .where(slots.c.room == room.name, attempts.c.state.in_(MAY_RUN), attempts.c.lease_until >= now)
        .order_by(slots.c.place)
    )
    return [
        _Slot(row.attempt_id, row.taken_at is not None, row.state is AttemptState.SUBMITTED)
        for row in connection.execute(query)
    ]


def _allowed(connection: sa.Connection, now: datetime, room: Room, accepted: int) -> int:
    """Return how many tasks are believed to be allowed at once, of which `accepted` are known to run.

    One more than were believed proves the last refusal out of date: from then on each that is accepted allows
    one more, until Kling refuses again.
    """
    known = connection.execute(sa.select(rooms).where(rooms.c.room == room.name)).one_or_none()
    if known is None:
        return accepted + PROBES
    is_outdated = accepted > known.believed or now - known.refused_at >= RAISE_AFTER
    return max(1, known.believed, accepted) + is_outdated
