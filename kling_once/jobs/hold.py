"""The hold switch: while it is on, nothing is bought from Kling. What runs is still collected."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from ..errors import SubmissionsHeld
from .job import Service
from .notes import note_in, read_note, write_note

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .database import Database

NOTE: Final = "live_held_since"


def held_since(database: Database) -> datetime | None:
    """Return since when live submissions are on hold; blocking."""
    return _moment(read_note(database, NOTE))


def hold(database: Database, now: datetime) -> datetime:
    """Put live submissions on hold, across prompts, processes and restarts; return since when; blocking."""
    since = held_since(database) or now
    write_note(database, NOTE, since.isoformat(timespec="seconds"))
    return since


def release(database: Database) -> None:
    """Let live submissions go on; blocking."""
    write_note(database, NOTE, None)


def require_released(database: Database, service: Service) -> None:
    """Pass unless a submission to this service would be on hold; blocking.

    Raises:
        SubmissionsHeld: nothing may be submitted now.
    """
    if service is Service.KLING:
        with database.read() as connection:
            require_released_in(connection, service)


def require_released_in(connection: sa.Connection, service: Service) -> None:
    """Do the same within a transaction."""
    since = _moment(note_in(connection, NOTE)) if service is Service.KLING else None
    if since is not None:
        raise SubmissionsHeld(
            f"Live submissions are on hold since {since:%Y-%m-%d %H:%M} UTC; nothing was submitted.",
            hint="Release them in the Kling Once tab and run again. What is under way is still collected.",
        )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
