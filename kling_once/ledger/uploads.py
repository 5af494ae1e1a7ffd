"""Reference videos that lie at a media host, and when they may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from .attempts import ENDED
from .database import insert_ignoring
from .tables import AttemptState, attempts, uploads

if TYPE_CHECKING:
    from datetime import datetime


def note_upload(
    connection: sa.Connection, now: datetime, location: str, kind: str, signed_until: datetime
) -> None:
    """Note that a clip is at a host and that a link to it is valid until `signed_until`.

    Args:
        connection: a transaction that writes.
        now: the moment of the note.
        location: what the host calls the clip.
        kind: of the host.
        signed_until: where a longer link is known, that one stays.
    """
    values = {"location": location, "kind": kind, "created_at": now, "signed_until": signed_until}
    insert_ignoring(connection, uploads, values)
    is_shorter = sa.and_(uploads.c.location == location, uploads.c.signed_until < signed_until)
    connection.execute(sa.update(uploads).where(is_shorter).values(signed_until=signed_until))


def removable(connection: sa.Connection, now: datetime, kind: str | None = None) -> list[str]:
    """Return the locations that no unfinished attempt needs and no valid link leads to.

    Without a kind, those of every host that was ever used.
    """
    query = sa.select(uploads.c.location).where(uploads.c.signed_until < now)
    if kind is not None:
        query = query.where(uploads.c.kind == kind)
    found = connection.execute(query).scalars().all()
    in_use = needed(connection, now)
    return [location for location in found if location not in in_use]


def is_removable(connection: sa.Connection, now: datetime, location: str) -> bool:
    """Tell whether `removable` would list this location."""
    query = sa.select(uploads.c.signed_until).where(uploads.c.location == location)
    signed_until = connection.execute(query).scalar()
    is_over = signed_until is not None and signed_until < now
    return is_over and location not in needed(connection, now)


def needed(connection: sa.Connection, moment: datetime) -> set[str]:
    """Return the locations that unfinished attempts need.

    An attempt that was never posted needs its clip only while a process holds it, at `moment` or later:
    whoever takes it up again hands the clip over again.
    """
    begun = sa.or_(
        attempts.c.state != AttemptState.INTENT,
        attempts.c.posted_at.is_not(None),
        attempts.c.lease_until >= moment,
    )
    query = sa.select(attempts.c.location).where(
        attempts.c.location.is_not(None), attempts.c.state.not_in(ENDED), begun
    )
    return set(connection.execute(query).scalars())


def forget_upload(connection: sa.Connection, location: str) -> None:
    """Strike a clip that is gone from its host."""
    connection.execute(sa.delete(uploads).where(uploads.c.location == location))


def next_expiry(connection: sa.Connection, now: datetime) -> datetime | None:
    """Return when the next of the links that are still valid expires."""
    query = sa.select(sa.func.min(uploads.c.signed_until)).where(uploads.c.signed_until >= now)
    return connection.execute(query).scalar()
