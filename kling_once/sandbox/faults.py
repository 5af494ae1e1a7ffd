"""Scripted faults: their names, the endpoints that know them, and what they do to a call."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .wire import (
    INVALID_VALUE,
    RESET,
    SERVICE_CODES,
    Reply,
    failure,
)

if TYPE_CHECKING:
    import sqlite3

ENDPOINTS: Final = (
    "create",
    "get",
    "list",
    "costs",
    "result",
    "create-element",
    "get-element",
    "list-elements",
    "list-presets",
    "delete-element",
)
CREATES: Final = frozenset({"create", "create-element"})

ANYWHERE: Final = ("ok", "status-N", "stall-S", "html", "trickle-S")
API: Final = ("code-N", "garbage-json")
READS: Final = ("reset",)
ODD_IDS: Final[dict[str, Any]] = {
    "task-id-slash": "8001/../../account/costs",
    "task-id-plus": "8001+8002=",
    "task-id-space": "80 01",
    "task-id-control": "8001\x1b[31m\n",
    "task-id-long": "8" * 200,
    "task-id-dots": "..",
    "task-id-empty": "",
    "task-id-number": 8001,
    "task-id-missing": None,
    "task-id-unknown": "899999999999999998",
}
"""What each of these faults answers in place of the new task's id; None leaves the field out."""

STRANGE_NAME: Final = "somebody-elses-name"

ODD_CHARGES: Final[dict[str, Any]] = {
    "text": "2 units",
    "list": ["2"],
    "object": {"amount": "2"},
    "negative": "-2",
}
"""What a deduction is in place of an amount, by the end of the fault's name."""

ANY_CREATE: Final = (
    *ANYWHERE,
    *API,
    "garbage-json-before-accept",
    "html-after-accept",
    "status-N-after-accept",
    "stall-S-after-accept",
    "reset-before-accept",
    "reset-after-accept",
    "accept-late-S",
    "task-failed",
    "task-failed-input",
    "task-failed-charged",
    "task-failed-odd-text",
    *(f"task-failed-charge-{kind}" for kind in ODD_CHARGES),
    *(f"charge-{kind}" for kind in ODD_CHARGES),
    *ODD_IDS,
    "another-external-id",
    "created-in-seconds",
)
ANY_GET: Final = (
    *ANYWHERE,
    *API,
    *READS,
    "not-found-once",
    "unknown-status",
    "wrong-owner",
    "another-external-id",
    "created-in-seconds",
)
KNOWN: Final = {
    "create": (*ANY_CREATE, "short-output", "model-discontinued"),
    "create-element": ANY_CREATE,
    "get": ANY_GET,
    "get-element": ANY_GET,
    "list": (*ANYWHERE, *API, *READS, "created-in-seconds"),
    "list-elements": (*ANYWHERE, *API, *READS, "created-in-seconds"),
    "list-presets": (*ANYWHERE, *API, *READS),
    "delete-element": (*ANYWHERE, *API, "reset-before-accept", "reset-after-accept"),
    "costs": (*ANYWHERE, *API, *READS),
    "result": (
        *ANYWHERE,
        *READS,
        "broken-stream-after-N",
        "expired-url",
        "endless-stream",
        "redirect-private",
        "not-a-video",
    ),
}
"""Names of the faults of each endpoint; N stands for a whole number, S for seconds such as 2 or 0.5."""

NUMBERED: Final = re.compile(
    r"(status|code|stall|trickle|accept-late|broken-stream-after)-([0-9]{1,9}(?:\.[0-9]{1,6})?)(-after-accept)?"
)
LOWEST_STATUS: Final = 400
HIGHEST_STATUS: Final = 599
LONGEST_STALL: Final = 3600.0

AFTER_ACCEPT: Final = frozenset(KNOWN["create"]) - {
    "ok",
    "status-N",
    "stall-S",
    "html",
    "code-N",
    "reset-before-accept",
    "garbage-json-before-accept",
    "model-discontinued",
}
"""Faults of a create that need an accepted task; they stay pending when the create itself is refused."""

ON_A_TASK: Final = frozenset(
    {"not-found-once", "unknown-status", "another-external-id", "created-in-seconds"}
)
"""Faults of a get that need a task; they stay pending when there is none."""

HTML: Final = Reply(
    200, b"<!doctype html><title>Sign in</title><p>This network needs a login.</p>", "text/html"
)
DISCONTINUED: Final = failure(
    INVALID_VALUE, "The model 'kling-v2-6' has been discontinued and is no longer available."
)
"""Seen live for `kling-v1`, under a code that nobody wrote down: 1201 is our guess."""
GARBAGE: Final = Reply(200, b'{"code":0,"message":"SUCCEED","request_id":"5b1c","data":{"task_id":')


@dataclass(frozen=True)
class Fault:
    """One scripted fault.

    Attributes:
        kind: its name as in `KNOWN`.
        number: the N or S of its name.
        n: its row in the script; 0 where it is not from one.
    """

    kind: str
    number: float = 0.0
    n: int = 0


OK: Final = Fault("ok")


def parse_fault(text: str, endpoint: str) -> Fault:
    """Read a fault's name.

    Raises:
        ValueError: the endpoint does not know it, or its number is out of range.
    """
    fault = Fault(text)
    match = NUMBERED.fullmatch(text)
    if match:
        name, number, after = match.groups()
        letter = "S" if name in {"stall", "trickle", "accept-late"} else "N"
        if letter == "S" or "." not in number:
            fault = Fault(f"{name}-{letter}{after or ''}", float(number))
    if fault.kind not in KNOWN[endpoint] or (fault.kind == text and re.search(r"-[NS](-|$)", text)):
        raise ValueError(f"{text!r} is not a fault of {endpoint}; there are {', '.join(KNOWN[endpoint])}")
    if fault.kind.startswith("status-") and not LOWEST_STATUS <= fault.number <= HIGHEST_STATUS:
        raise ValueError(f"{text!r}: the status must be {LOWEST_STATUS} to {HIGHEST_STATUS}")
    if fault.kind == "code-N" and fault.number < 1:
        raise ValueError(f"{text!r}: the code must not be 0")
    if fault.number > LONGEST_STALL and "-S" in fault.kind:
        raise ValueError(f"{text!r}: at most {LONGEST_STALL:.0f} seconds")
    return fault


def instead_of_answer(fault: Fault, endpoint: str | None) -> Reply | None:
    """Return the answer of a fault that acts before the call is looked at; None for every other fault."""
    if fault.kind == "status-N":
        return status_reply(int(fault.number))
    if fault.kind == "code-N":
        return failure(int(fault.number))
    if fault.kind == "garbage-json" and endpoint not in CREATES:
        return GARBAGE
    fixed = {
        "reset": RESET,
        "reset-before-accept": RESET,
        "html": HTML,
        "garbage-json-before-accept": GARBAGE,
        "model-discontinued": DISCONTINUED,
    }
    return fixed.get(fault.kind)


def instead_of_success(fault: Fault, reply: Reply) -> Reply:
    """Return the answer to a call that succeeded: `reply`, or what the fault replaces it with."""
    match fault.kind:
        case "status-N-after-accept":
            return status_reply(int(fault.number))
        case "reset-after-accept" | "accept-late-S":
            return RESET
        case "html-after-accept":
            return HTML
        case "garbage-json":
            return GARBAGE
        case "trickle-S":
            return replace(reply, byte_seconds=fault.number)
        case _:
            return reply


def spoil_task(fault: Fault, task: dict[str, Any]) -> dict[str, Any]:
    """Return a task as the wire shows it, with the one field changed that the fault names."""
    is_legacy = "task_id" in task
    match fault.kind:
        case "another-external-id" if is_legacy:
            return task | {"task_info": {"external_task_id": STRANGE_NAME}}
        case "another-external-id":
            return task | {"external_id": STRANGE_NAME}
        case "created-in-seconds":
            times = ("created_at", "updated_at") if is_legacy else ("create_time", "update_time")
            return task | {name: task[name] // 1000 for name in times}
        case kind if kind in ODD_IDS:
            field = "task_id" if is_legacy else "id"
            without = {name: value for name, value in task.items() if name != field}
            return without if ODD_IDS[kind] is None else {field: ODD_IDS[kind]} | without
        case _:
            return task


def status_reply(status: int) -> Reply:
    """Return an HTTP error: with an envelope where the vendor documents one, else without a body."""
    for code in (1000, 1103, 1200, 1203, 1302, 5000, 5001, 5002):
        if SERVICE_CODES[code][0] == status:
            return failure(code)
    return Reply(status, b"", "text/plain")


def read_script(body: Any) -> tuple[str, list[str]]:
    """Check a body of `POST /sandbox/faults`; return its endpoint and script.

    Raises:
        ValueError: the message names what is wrong.
    """
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
    """Replace the pending script of an endpoint."""
    connection.execute("DELETE FROM scripts WHERE endpoint = ? AND met = 0", (endpoint,))
    connection.executemany(
        "INSERT INTO scripts (endpoint, fault) VALUES (?, ?)", [(endpoint, name) for name in script]
    )


def take_fault(connection: sqlite3.Connection, endpoint: str) -> Fault:
    """Take the next entry of an endpoint's script; `OK` when there is none."""
    row = connection.execute(
        "SELECT n, fault FROM scripts WHERE endpoint = ? AND met = 0 ORDER BY n LIMIT 1", (endpoint,)
    ).fetchone()
    if row is None:
        return OK
    connection.execute("UPDATE scripts SET met = 1 WHERE n = ?", (row["n"],))
    fault = parse_fault(row["fault"], endpoint)
    return Fault(fault.kind, fault.number, row["n"])


def give_back(connection: sqlite3.Connection, fault: Fault) -> None:
    """Make a fault that could not act pending again."""
    connection.execute("UPDATE scripts SET met = 0 WHERE n = ?", (fault.n,))


def list_faults(connection: sqlite3.Connection) -> dict[str, list[dict[str, str]]]:
    """Return the faults that are pending and those that were met; `ok` is no fault."""
    found: dict[str, list[dict[str, str]]] = {"pending": [], "met": []}
    for row in connection.execute("SELECT * FROM scripts WHERE fault != 'ok' ORDER BY n"):
        found["met" if row["met"] else "pending"].append({"endpoint": row["endpoint"], "fault": row["fault"]})
    return found
