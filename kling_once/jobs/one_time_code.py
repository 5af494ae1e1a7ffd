"""A code that lets one change be made from another machine: printed on the server, good once."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from .notes import note_in, put_note, write_note

if TYPE_CHECKING:
    from .database import Database

NOTE: Final = "one_time_code"
LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that look alike."""
CODE_LENGTH: Final = 12
LIFETIME: Final = timedelta(minutes=10)
WRONG_TRIES: Final = 5


def allow_once(database: Database, now: datetime) -> str:
    """Make a code, in place of an earlier one; blocking."""
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    note = {"digest": _digest(code), "until": (now + LIFETIME).isoformat(), "wrong": 0}
    write_note(database, NOTE, json.dumps(note))
    return "-".join(code[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def spend(database: Database, code: str, now: datetime) -> bool:
    """Tell whether a code is good, and let it not be good again; blocking."""
    with database.write() as connection:
        text = note_in(connection, NOTE)
        if text is None:
            return False
        note = json.loads(text)
        good = hmac.compare_digest(note["digest"], _digest(_plain(code)))
        note["wrong"] += 0 if good else 1
        is_over = good or note["wrong"] >= WRONG_TRIES or now > datetime.fromisoformat(note["until"])
        put_note(connection, NOTE, None if is_over else json.dumps(note))
        return good and now <= datetime.fromisoformat(note["until"])


def _plain(code: str) -> str:
    return "".join(char for char in code.upper() if char in LETTERS)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
