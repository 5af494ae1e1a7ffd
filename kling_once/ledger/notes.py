"""Short facts that every process of one home shares, such as the hold switch."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import SubmissionsHeld
from ..order import Service
from .tables import notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .database import Database


def note_in(connection: sa.Connection, name: str) -> str | None:
    """Return a note within a transaction."""
    return connection.execute(sa.select(notes.c.value).where(notes.c.name == name)).scalar_one_or_none()


def read_note(database: Database, name: str) -> str | None:
    """Return a note; blocking."""
    with database.read() as connection:
        return note_in(connection, name)


def kept_note(database: Database, name: str, make: Callable[[], str]) -> str:
    """Return a note that the first caller of all processes makes, and that stays; blocking."""
    value = read_note(database, name)
    if value is None:
        with database.write() as connection:
            value = note_in(connection, name)
            if value is None:
                value = make()
                put_note(connection, name, value)
    return value


def write_note(database: Database, name: str, value: str | None) -> None:
    """Write a note, or remove it with None; blocking."""
    with database.write() as connection:
        put_note(connection, name, value)


def put_note(connection: sa.Connection, name: str, value: str | None) -> None:
    """Write or remove a note within a transaction."""
    connection.execute(sa.delete(notes).where(notes.c.name == name))
    if value is not None:
        connection.execute(sa.insert(notes).values(name=name, value=value))


HOLD_NOTE: Final = "live_held_since"


def held_since(database: Database) -> datetime | None:
    """Return since when live submissions are on hold; blocking."""
    return _moment(read_note(database, HOLD_NOTE))


def hold(database: Database, now: datetime) -> datetime:
    """Put live submissions on hold, across prompts, processes and restarts; return since when; blocking."""
    since = held_since(database) or now
    write_note(database, HOLD_NOTE, since.isoformat(timespec="seconds"))
    return since


def release(database: Database) -> None:
    """Let live submissions go on; blocking."""
    write_note(database, HOLD_NOTE, None)


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
    since = _moment(note_in(connection, HOLD_NOTE)) if service is Service.KLING else None
    if since is not None:
        raise SubmissionsHeld(
            f"Live submissions are on hold since {since:%Y-%m-%d %H:%M} UTC; nothing was submitted.",
            hint="Release them in the Kling Once tab and run again. What is under way is still collected.",
        )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


CODE_NOTE: Final = "one_time_code"
LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that look alike."""
CODE_LENGTH: Final = 12
LIFETIME: Final = timedelta(minutes=10)
WRONG_TRIES: Final = 5


def allow_once(database: Database, now: datetime) -> str:
    """Make a code, in place of an earlier one; blocking."""
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    note = {"digest": _digest(code), "until": (now + LIFETIME).isoformat(), "wrong": 0}
    write_note(database, CODE_NOTE, json.dumps(note))
    return "-".join(code[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def spend(database: Database, code: str, now: datetime) -> bool:
    """Tell whether a code is good, and let it not be good again; blocking."""
    with database.write() as connection:
        text = note_in(connection, CODE_NOTE)
        if text is None:
            return False
        note = json.loads(text)
        good = hmac.compare_digest(note["digest"], _digest(_plain(code)))
        note["wrong"] += 0 if good else 1
        is_over = good or note["wrong"] >= WRONG_TRIES or now > datetime.fromisoformat(note["until"])
        put_note(connection, CODE_NOTE, None if is_over else json.dumps(note))
        return good and now <= datetime.fromisoformat(note["until"])


def _plain(code: str) -> str:
    return "".join(char for char in code.upper() if char in LETTERS)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def fingerprint_key(database: Database) -> bytes:
    """Return the key under which this ledger fingerprints credentials, made on first use; blocking."""
    return bytes.fromhex(kept_note(database, "fingerprint_key", lambda: secrets.token_hex(32)))
