"""Scripts of faults in the state: one entry for each call, taken by exactly one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .faults import ENDPOINTS, OK, Fault, parse_fault

if TYPE_CHECKING:
    import sqlite3


def read_script(body: Any) -> tuple[str, list[str]]:
    """Check a body of `POST /sandbox/faults`; ValueError names what is wrong."""
    if not isinstance(body, dict) or set(body) != {"endpoint", "script"}:
        raise ValueError(
            'a script is an object such as {"endpoint": "create", "script": ["status-502", "ok"]}'
        )
    endpoint, script = body["endpoint"], body["script"]
    if endpoint not in ENDPOINTS:
        raise ValueError(f"{endpoint!r} is not an endpoint; there are {', '.join(ENDPOINTS)}")
    if not isinstance(script, list) or not all(isinstance(name, str) for name in script):
        raise ValueError("script is a list of fault names")
    for name in script:
        parse_fault(name, endpoint)
    return endpoint, script


def replace_script(connection: sqlite3.Connection, endpoint: str, script: list[str]) -> None:
    """Forget what is pending for an endpoint and queue this instead."""
    connection.execute("DELETE FROM scripts WHERE endpoint = ? AND met = 0", (endpoint,))
    connection.executemany(
        "INSERT INTO scripts (endpoint, fault) VALUES (?, ?)", [(endpoint, name) for name in script]
    )


def take_fault(connection: sqlite3.Connection, endpoint: str) -> Fault:
    """Use up the next entry of an endpoint's script; `OK` when there is none."""
    row = connection.execute(
        "SELECT n, fault FROM scripts WHERE endpoint = ? AND met = 0 ORDER BY n LIMIT 1", (endpoint,)
    ).fetchone()
    if row is None:
        return OK
    connection.execute("UPDATE scripts SET met = 1 WHERE n = ?", (row["n"],))
    fault = parse_fault(row["fault"], endpoint)
    return Fault(fault.kind, fault.number, row["n"])


def give_back(connection: sqlite3.Connection, fault: Fault) -> None:
    """Let a fault that could not act wait for the next call."""
    connection.execute("UPDATE scripts SET met = 0 WHERE n = ?", (fault.n,))


def list_faults(connection: sqlite3.Connection) -> dict[str, list[dict[str, str]]]:
    """Tell which faults nobody met yet and which were met; `ok` is no fault."""
    found: dict[str, list[dict[str, str]]] = {"pending": [], "met": []}
    for row in connection.execute("SELECT * FROM scripts WHERE fault != 'ok' ORDER BY n"):
        found["met" if row["met"] else "pending"].append({"endpoint": row["endpoint"], "fault": row["fault"]})
    return found
