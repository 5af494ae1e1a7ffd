"""Reference videos that lie at a media host, and when they may go."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..errors import HostingError
from .attempts import ENDED, AttemptState, milliseconds
from .tables import attempts, uploads

if TYPE_CHECKING:
    from ..hosting.media_host import MediaHost
    from .database import Database

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 10.0


def note_upload(database: Database, location: str, kind: str, now: datetime, signed_until: datetime) -> None:
    """Write down that a clip is at a host and that a link to it lives until `signed_until`; blocking."""
    with database.write() as connection:
        known = connection.execute(
            sa.select(uploads.c.signed_until).where(uploads.c.location == location)
        ).scalar_one_or_none()
        if known is None:
            values = {"location": location, "kind": kind, "created_at": milliseconds(now)}
            connection.execute(sa.insert(uploads).values(**values, signed_until=milliseconds(signed_until)))
            return
        connection.execute(
            sa.update(uploads)
            .where(uploads.c.location == location)
            .values(signed_until=max(known, milliseconds(signed_until)))
        )


def removable(database: Database, now: datetime, kind: str | None = None) -> list[str]:
    """Return the locations that no unfinished attempt needs and no living link leads to; blocking.

    Without a kind, those of every host that was ever used.
    """
    query = sa.select(uploads.c.location).where(uploads.c.signed_until < milliseconds(now))
    if kind is not None:
        query = query.where(uploads.c.kind == kind)
    with database.read() as connection:
        found = list(connection.execute(query).scalars())
    in_use = needed(database, now)
    return [location for location in found if location not in in_use]


def needed(database: Database, moment: datetime) -> set[str]:
    """Return the locations that unfinished attempts need; blocking.

    An attempt that was never posted needs its clip only while a process holds it, at `moment` or later:
    whoever takes it up again hands the clip over again.
    """
    begun = sa.or_(
        attempts.c.state != AttemptState.INTENT.value,
        attempts.c.posted_at.is_not(None),
        attempts.c.lease_until >= milliseconds(moment),
    )
    query = sa.select(attempts.c.location).where(
        attempts.c.location.is_not(None), attempts.c.state.not_in([state.value for state in ENDED]), begun
    )
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def forget_upload(database: Database, location: str) -> None:
    """Strike a clip that is gone from its host; blocking."""
    with database.write() as connection:
        connection.execute(sa.delete(uploads).where(uploads.c.location == location))


def next_expiry(database: Database, now: datetime) -> datetime | None:
    """Return when the next link of those that still live ends; blocking."""
    query = sa.select(sa.func.min(uploads.c.signed_until)).where(uploads.c.signed_until >= milliseconds(now))
    with database.read() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else datetime.fromtimestamp(found / 1000, UTC)


async def sweep(database: Database, host: MediaHost, now: datetime) -> int:
    """Remove from a host what may go and return how much that was; a host that refuses is asked next time.

    Ends after some seconds in any case: a paid result waits for this.
    """
    removed = 0
    problems: dict[str, int] = {}
    try:
        async with asyncio.timeout(SWEEP_SECONDS):
            for location in await asyncio.to_thread(removable, database, now, host.kind):
                # Asked again: since then another process may have handed the same clip over.
                if not await asyncio.to_thread(_is_removable, database, location, now):
                    continue
                try:
                    await host.withdraw(location)
                except HostingError as error:
                    problems[error.message] = problems.get(error.message, 0) + 1
                    continue
                await asyncio.to_thread(forget_upload, database, location)
                removed += 1
    except TimeoutError:
        logger.warning("Reference videos could not be removed from their host: it does not answer in time.")
    for message, count in problems.items():
        logger.warning("Reference videos that could not be removed from their host: %d. %s", count, message)
    return removed


def _is_removable(database: Database, location: str, now: datetime) -> bool:
    query = sa.select(uploads.c.signed_until).where(uploads.c.location == location)
    with database.read() as connection:
        signed_until = connection.execute(query).scalar()
    is_over = signed_until is not None and signed_until < milliseconds(now)
    return is_over and location not in needed(database, now)


async def clean(database: Database, host: MediaHost, before: datetime) -> tuple[int, int]:
    """Remove everything of ours from a host that was put there before a moment and that nobody needs.

    Also what no ledger knows: a crash may leave a clip behind. Return how many went and how many are left.

    Raises:
        HostingError: the host cannot be listed.
    """
    found = await host.leftovers()
    removed = 0
    for item in found:
        # Asked for each: meanwhile another process may have handed the same clip over.
        if item.last_modified < before and item.location not in await asyncio.to_thread(
            needed, database, before
        ):
            await host.withdraw(item.location)
            await asyncio.to_thread(forget_upload, database, item.location)
            removed += 1
    return removed, len(found) - removed
