"""The switches that all processes of a state share; what is stored wins over the options."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .transitions import Transitions

if TYPE_CHECKING:
    import sqlite3

    from .options import SandboxOptions

MOST_PARALLEL: Final = 1_000_000


@dataclass(frozen=True)
class Settings:
    """The switches in force for one call."""

    transitions: Transitions
    parallel_limit: int
    duplicates_allowed: bool
    quick_results: bool
    charge: str

    def to_json(self) -> dict[str, Any]:
        """Give the switches as `GET /sandbox/settings` answers them."""
        return {
            "duplicates-allowed": self.duplicates_allowed,
            "parallel-limit": self.parallel_limit,
            "quick-results": self.quick_results,
            "charge": self.charge,
            "transitions": self.transitions.to_json(),
        }


def load_settings(connection: sqlite3.Connection, options: SandboxOptions) -> Settings:
    """Read the switches; one that nobody stored has the options' value."""
    stored = {
        name: json.loads(value)
        for name, value in connection.execute("SELECT name, value FROM settings WHERE name != 'secret'")
    }
    transitions = stored.get("transitions")
    return Settings(
        transitions=options.transitions if transitions is None else Transitions.from_json(transitions),
        parallel_limit=stored.get("parallel-limit", options.parallel_limit),
        duplicates_allowed=stored.get("duplicates-allowed", options.duplicates_allowed),
        quick_results=stored.get("quick-results", options.quick_results),
        charge=stored.get("charge", options.charge),
    )


def save_settings(connection: sqlite3.Connection, changes: dict[str, Any]) -> None:
    """Store switches that `read_changes` let through."""
    connection.executemany(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(name, json.dumps(value)) for name, value in changes.items()],
    )


def read_changes(body: Any) -> dict[str, Any]:
    """Check a body of `PUT /sandbox/settings`; ValueError names what is wrong."""
    if not isinstance(body, dict):
        raise ValueError('settings are an object such as {"duplicates-allowed": true}')  # noqa: TRY004 - a wrong body is one kind of error
    for name, value in body.items():
        match name:
            case "duplicates-allowed" | "quick-results":
                right = isinstance(value, bool)
            case "parallel-limit":
                right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_PARALLEL
            case "charge":
                right = value in {"units", "cash"} if isinstance(value, str) else False
            case "transitions":
                Transitions.from_json(value)
                right = True
            case _:
                raise ValueError(
                    f"{name!r} is not a setting; there are duplicates-allowed (boolean), parallel-limit "
                    "(integer from 1), quick-results (boolean), charge (units or cash) and transitions"
                )
        if not right:
            raise ValueError(f"{value!r} is not a value of {name}")
    return body
