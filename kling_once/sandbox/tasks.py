"""Tasks in the state: accepted, found by either id, and advanced by the policy."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from .options import Stage
from .rules import FRAMES_PER_SECOND, VIDEO_MIN_SECONDS, units_for
from .wire import (
    INVALID_VALUE,
    OVER_PARALLEL_LIMIT,
    Refusal,
    clip,
)

if TYPE_CHECKING:
    import sqlite3

    from .faults import Fault
    from .options import SandboxOptions, Transitions
    from .references import Draft

FORGOTTEN_SECONDS: Final = 60.0
"""A task that nobody polled for this long does not count for the parallel limit."""

USD_PER_UNIT: Final = Decimal("0.14")
SHORT_OUTPUT_SHARE: Final = Fraction(3, 5)
UNFINISHED: Final = "status IN ('submitted', 'processing')"

FAILURES: Final = {
    "task-failed": "Task failed due to an internal error",
    "task-failed-charged": "Task failed due to an internal error",
    "task-failed-input": "Image recognition failed. No complete upper body detected in the image",
}
"""What `task_status_msg` says after each scripted failure."""


@dataclass(frozen=True)
class Task:
    """One row of the table `tasks`.

    Attributes:
        n: number in the state, from 1.
        picture: reference image, relative to the state's folder; `clip` likewise.
        frames: length of the result at 30 fps.
        charge: the deduction as the wire shows it.
        units: the deduction in units.
        fate: how the task ends: `succeed`, or a fault of `FAILURES`.
        polled_at: when it was last polled, in Unix seconds.
        visible_at: from when it can be found, in Unix seconds.
        result_name: name in the result's URL, which cannot be guessed; `watermark_name` likewise.
    """

    n: int
    task_id: str
    external_id: str | None
    callback_url: str | None
    watermark: bool
    sound: bool
    mode: str
    picture: str
    clip: str
    frames: int
    charge: dict[str, Any]
    units: Decimal
    fate: str
    status: str
    message: str
    polls: int
    polled_at: float
    visible_at: float
    created_ms: int
    updated_ms: int
    result_name: str
    watermark_name: str

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in {"succeed", "failed"}


Change = tuple[Task, str]
"""A task and a status that it has just reached."""


def check_unused(connection: sqlite3.Connection, external_id: str | None, settings: SandboxOptions) -> None:
    """Check that the account has not used an external id.

    Raises:
        Refusal: code 1201, it has.
    """
    if external_id is None or settings.duplicates_allowed:
        return
    used = connection.execute("SELECT 1 FROM tasks WHERE external_id = ? LIMIT 1", (external_id,)).fetchone()
    if used is not None:
        raise Refusal(INVALID_VALUE, f"external_task_id: External_task_id {clip(external_id)} already exists")


def accept(
    connection: sqlite3.Connection, draft: Draft, settings: SandboxOptions, fault: Fault, now: float
) -> tuple[Task, list[Change]]:
    """Make a task.

    With the fault `accept-late-S` the external id is taken at once, but the task cannot be found for S
    seconds.

    Returns:
        The task, and every change of status that the call caused.

    Raises:
        Refusal: code 1201 for a used external id, 1303 over the parallel limit.
    """
    check_unused(connection, draft.order.external_task_id, settings)
    changes = advance_due(connection, settings.transitions, now)
    (running,) = connection.execute(
        f"SELECT count(*) FROM tasks WHERE {UNFINISHED} AND polled_at > ?",  # noqa: S608 - a constant
        (now - FORGOTTEN_SECONDS,),
    ).fetchone()
    if running >= settings.parallel_limit:
        raise Refusal(OVER_PARALLEL_LIMIT)
    columns = _columns(draft, settings, fault, now)
    names = ", ".join(columns)
    marks = ", ".join(f":{name}" for name in columns)
    number = connection.execute(f"INSERT INTO tasks ({names}) VALUES ({marks})", columns).lastrowid  # noqa: S608 - our column names
    task_id = _reproducible_id(number, draft.order.external_task_id)
    connection.execute("UPDATE tasks SET task_id = ? WHERE n = ?", (task_id, number))
    task = _task(connection.execute("SELECT * FROM tasks WHERE n = ?", (number,)).fetchone())
    return task, changes if task.visible_at > now else [*changes, (task, task.status)]


def poll(
    connection: sqlite3.Connection, identifier: str, transitions: Transitions, now: float
) -> tuple[Task, list[Change]] | None:
    """Find a task by task id or external id and count the poll.

    Of several tasks with one external id (duplicates allowed) it is the first.

    Returns:
        The task and its changes of status; None when there is no such task.
    """
    row = connection.execute(
        "SELECT * FROM tasks WHERE (task_id = :id OR external_id = :id) AND visible_at <= :now "
        "ORDER BY task_id != :id, n LIMIT 1",
        {"id": identifier, "now": now},
    ).fetchone()
    if row is None:
        return None
    task = _task(row)
    if task.ended:
        return task, []
    task = replace(task, polls=task.polls + 1, polled_at=now)
    connection.execute(
        "UPDATE tasks SET polls = ?, polled_at = ? WHERE n = ?", (task.polls, task.polled_at, task.n)
    )
    return _move(connection, task, transitions.stage(task.polls, now - task.visible_at), now)


def advance_due(connection: sqlite3.Connection, transitions: Transitions, now: float) -> list[Change]:
    """Advance every task that is due without a poll."""
    if transitions.policy == "polls":
        return []
    changes: list[Change] = []
    for row in connection.execute(
        f"SELECT * FROM tasks WHERE {UNFINISHED} AND visible_at <= ? ORDER BY n",  # noqa: S608 - a constant
        (now,),
    ).fetchall():
        task = _task(row)
        stage = transitions.stage(task.polls, now - task.visible_at)
        changes += _move(connection, task, stage, now)[1]
    return changes


def list_tasks(
    connection: sqlite3.Connection, page: int, size: int, transitions: Transitions, now: float
) -> tuple[list[Task], list[Change]]:
    """Return one page of visible tasks, newest first, and the changes of status; listing is no poll."""
    changes = advance_due(connection, transitions, now)
    rows = connection.execute(
        "SELECT * FROM tasks WHERE visible_at <= ? ORDER BY n DESC LIMIT ? OFFSET ?",
        (now, size, (page - 1) * size),
    )
    return [_task(row) for row in rows], changes


def find_result(connection: sqlite3.Connection, name: str) -> Task | None:
    """Return the succeeded task whose result or watermarked result has this name."""
    row = connection.execute(
        "SELECT * FROM tasks WHERE status = 'succeed' AND (result_name = ? OR watermark_name = ?)",
        (name, name),
    ).fetchone()
    return None if row is None else _task(row)


def units_spent(connection: sqlite3.Connection) -> Decimal:
    """Return the sum of the units of every task that shows a deduction."""
    rows = connection.execute(
        "SELECT units FROM tasks WHERE status = 'succeed' "
        "OR (status = 'failed' AND fate = 'task-failed-charged')"
    )
    return sum((Decimal(row["units"]) for row in rows), Decimal(0))


def callbacks_outstanding(connection: sqlite3.Connection) -> bool:
    """Return whether an unfinished task has a callback URL."""
    waiting = connection.execute(
        f"SELECT 1 FROM tasks WHERE {UNFINISHED} AND callback_url IS NOT NULL LIMIT 1"  # noqa: S608 - a constant
    ).fetchone()
    return waiting is not None


def _columns(draft: Draft, settings: SandboxOptions, fault: Fault, now: float) -> dict[str, Any]:
    order, facts = draft.order, draft.facts
    visible_at = now + fault.number if fault.kind == "accept-late-S" else now
    seconds = facts.duration_seconds
    units = units_for(order.model_name, order.mode, seconds)
    now_ms = int(now * 1000)
    return {
        "external_id": order.external_task_id,
        "unique_external_id": None if settings.duplicates_allowed else order.external_task_id,
        "callback_url": order.callback_url,
        "watermark": order.watermark,
        "sound": order.keep_original_sound and facts.has_sound,
        "mode": order.mode,
        "picture": draft.picture,
        "clip": draft.clip,
        "frames": round(_output_seconds(seconds, fault) * FRAMES_PER_SECOND),
        "charge": json.dumps(_charge(units, settings.charge)),
        "units": str(units),
        "fate": fault.kind if fault.kind in FAILURES else "succeed",
        "status": "submitted",
        "message": "",
        "polled_at": visible_at,
        "visible_at": visible_at,
        "created_ms": now_ms,
        "updated_ms": now_ms,
        "result_name": secrets.token_hex(20),
        "watermark_name": secrets.token_hex(20),
    }


def _output_seconds(seconds: Fraction, fault: Fault) -> Fraction:
    """Return the length of the result; the charge stays that of the whole clip, as the page says.

    `short-output` keeps three fifths, and at least the 3 s that the page promises where the clip allows it.
    """
    if fault.kind != "short-output":
        return seconds
    short = seconds * SHORT_OUTPUT_SHARE
    room = seconds - VIDEO_MIN_SECONDS >= Fraction(1, FRAMES_PER_SECOND)
    return max(short, Fraction(VIDEO_MIN_SECONDS)) if room else short


def _charge(units: Decimal, kind: str) -> dict[str, Any]:
    if kind == "cash":
        price = f"{(units * USD_PER_UNIT).normalize():f}"
        return {"final_balance_deduction": {"quota": price, "list_price": price}}
    return {"final_unit_deduction": f"{units.normalize():f}"}


def _move(connection: sqlite3.Connection, task: Task, stage: Stage, now: float) -> tuple[Task, list[Change]]:
    """Advance a task to a stage through every status in between, never backwards."""
    end = "failed" if task.fate in FAILURES else "succeed"
    path = ["submitted", "processing", end]
    changes: list[Change] = []
    for status in path[path.index(task.status) + 1 : list(Stage).index(stage) + 1]:
        message = FAILURES.get(task.fate, "") if status == "failed" else ""
        task = replace(task, status=status, message=message, updated_ms=int(now * 1000))
        changes.append((task, status))
    if changes:
        connection.execute(
            "UPDATE tasks SET status = ?, message = ?, updated_ms = ? WHERE n = ?",
            (task.status, task.message, task.updated_ms, task.n),
        )
    return task, changes


def _reproducible_id(number: int | None, external_id: str | None) -> str:
    """Return an id of 18 digits, the same when the same calls are made on a fresh state."""
    digest = hashlib.sha256(f"task:{number}:{external_id or ''}".encode()).digest()
    return str(8 * 10**17 + int.from_bytes(digest[:8], "big") % 10**17)


def _task(row: sqlite3.Row) -> Task:
    values = {name: row[name] for name in row.keys() if name != "unique_external_id"}  # noqa: SIM118 - a Row iterates over its values
    values |= {name: bool(values[name]) for name in ("watermark", "sound")}
    values["charge"] = json.loads(values["charge"])
    values["units"] = Decimal(values["units"])
    return Task(**values)
