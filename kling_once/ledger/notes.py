"""Short facts that every process of one ledger shares: the hold switch, the pairing code, a key."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from ..errors import SubmissionsHeld
from ..order import Service
from .database import exclusive, insert_ignoring, upsert
from .tables import EPOCH, notes


def read_note(connection: sa.Connection, name: str) -> str | None:
    """Return a note, None where there is none."""
    return connection.execute(sa.select(notes.c.value).where(notes.c.name == name)).scalar_one_or_none()


def write_note(connection: sa.Connection, name: str, value: str | None) -> None:
    """Write a note, or remove it with None."""
    if value is None:
        connection.execute(sa.delete(notes).where(notes.c.name == name))
    else:
        upsert(connection, notes, {"name": name, "value": value})


HOLD_NOTE: Final = "live_held_since"


def held_since(connection: sa.Connection) -> datetime | None:
    """Return since when live submissions are on hold, None where they are not.

    A note that cannot be read holds them as well.
    """
    text = read_note(connection, HOLD_NOTE)
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return EPOCH


def hold(connection: sa.Connection, now: datetime) -> datetime:
    """Put live submissions on hold, across prompts, processes and restarts; return since when."""
    since = held_since(connection) or now.astimezone(UTC)
    write_note(connection, HOLD_NOTE, since.isoformat(timespec="seconds"))
    return since


def release_hold(connection: sa.Connection) -> None:
    """Allow live submissions again."""
    write_note(connection, HOLD_NOTE, None)


def require_released(connection: sa.Connection, service: Service) -> None:
    """Pass unless a submission to this service would be on hold.

    Raises:
        SubmissionsHeld: nothing may be submitted now.
    """
    since = held_since(connection) if service is Service.KLING else None
    if since is not None:
        raise SubmissionsHeld(
            f"Live submissions are on hold since {since:%Y-%m-%d %H:%M} UTC; nothing was submitted.",
            hint="Release them in the Kling Once tab and run again. What is under way is still collected.",
        )


CODE_NOTE: Final = "one_time_code"
LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that look alike."""
CODE_LENGTH: Final = 12
LIFETIME: Final = timedelta(minutes=10)
WRONG_TRIES: Final = 5


def allow_once(connection: sa.Connection, now: datetime) -> str:
    """Return a new pairing code, in place of an earlier one."""
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    note = {"digest": _digest(code), "until": (now + LIFETIME).isoformat(), "wrong": 0}
    write_note(connection, CODE_NOTE, json.dumps(note))
    return "-".join(code[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def redeem(connection: sa.Connection, now: datetime, code: str) -> bool:
    """Tell whether a pairing code is valid, and use it up."""
    exclusive(connection, "note", CODE_NOTE)
    text = read_note(connection, CODE_NOTE)
    if text is None:
        return False
    note = json.loads(text)
    good = hmac.compare_digest(note["digest"], _digest(_plain(code)))
    note["wrong"] += 0 if good else 1
    until = datetime.fromisoformat(note["until"])
    is_over = good or note["wrong"] >= WRONG_TRIES or now > until
    write_note(connection, CODE_NOTE, None if is_over else json.dumps(note))
    return good and now <= until


def _plain(code: str) -> str:
    return "".join(char for char in code.upper() if char in LETTERS)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


FINGERPRINT_NOTE: Final = "fingerprint_key"


def make_fingerprint_key(connection: sa.Connection, first: str | None = None) -> str:
    """Return the key under which this ledger fingerprints credentials, as hex; make it on first use.

    Args:
        connection: a transaction that writes.
        first: becomes the key where there is none yet.
    """
    made = first or secrets.token_hex(32)
    insert_ignoring(connection, notes, {"name": FINGERPRINT_NOTE, "value": made})
    return read_note(connection, FINGERPRINT_NOTE) or made
