"""Tasks in the state: accepted, found by either id, and advanced by the policy."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from .faults import ODD_CHARGES
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
    from .standard import Window

FORGOTTEN_SECONDS: Final = 60.0
"""A task that nobody polled for this long does not count for the parallel limit."""

USD_PER_UNIT: Final = Decimal("0.14")
CNY_PER_UNIT: Final = Decimal(1)
SHORT_OUTPUT_SHARE: Final = Fraction(3, 5)
LAST: Final = 2**63 - 1
UNFINISHED: Final = "status IN ('submitted', 'processing')"

INTERNAL_FAILURE: Final = "Task failed due to an internal error"
FAILURES: Final = {
    "task-failed": INTERNAL_FAILURE,
    "task-failed-charged": INTERNAL_FAILURE,
    **{f"task-failed-charge-{kind}": INTERNAL_FAILURE for kind in ODD_CHARGES},
    "task-failed-input": "Image recognition failed. No complete upper body detected in the image",
    "task-failed-odd-text": "Moved \x1b[2J\x1b[31mand \r\n half of a character \ud83d \u202e=cmd",
}
"""What `task_status_msg` says after each scripted failure."""


@dataclass(frozen=True)
class Task:
    """One row of the table `tasks`.

    Attributes:
        n: number in the state, from 1.
        element_id: the id of the element that the task makes; None for a task that makes a video.
        element: what is known of that element, as JSON; see `elements.py`.
        picture: reference image, relative to the state's folder; `clip` likewise.
        frames: length of the result at 30 fps.
        generation: which of the vendor's two APIs made it.
        charge: how the deduction is shown: a value of the setting, or a kind of `ODD_CHARGES`.
        units: the deduction in units.
        fate: how the task ends: `succeed`, or the fault of its create.
        polled_at: when it was last polled, in Unix seconds.
        visible_at: from when it can be found, in Unix seconds.
        result_name: name in the result's URL, which cannot be guessed; `watermark_name` likewise.
    """

    n: int
    task_id: str
    generation: str
    element_id: str | None
    element: str | None
    external_id: str | None
    callback_url: str | None
    watermark: bool
    sound: bool
    mode: str
    picture: str
    clip: str
    frames: int
    charge: str
    units: Decimal
    fate: str
    status: str
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

    @property
    def message(self) -> str:
        """Why the task failed; empty unless it has."""
        return FAILURES[self.fate] if self.status == "failed" else ""

    @property
    def is_charged_in_cash(self) -> bool:
        """Whether the deduction is money and not units."""
        return self.charge in {"cash", "cash-cny", "test-balance"}

    @property
    def amount(self) -> Any:
        """The deduction as the wire shows it."""
        if self.charge in ODD_CHARGES:
            return ODD_CHARGES[self.charge]
        price = CNY_PER_UNIT if self.charge == "cash-cny" else USD_PER_UNIT
        return f"{(self.units * (price if self.is_charged_in_cash else 1)).normalize():f}"

    @property
    def charged(self) -> bool:
        """Whether its deduction is shown."""
        return self.status == "succeed" or (self.status == "failed" and "-charge" in self.fate)


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
        f"SELECT count(*) FROM tasks WHERE {UNFINISHED} AND element IS NULL AND polled_at > ?",  # noqa: S608 - a constant
        (now - FORGOTTEN_SECONDS,),
    ).fetchone()
    if running >= settings.parallel_limit:
        raise Refusal(OVER_PARALLEL_LIMIT)
    task = insert(connection, _columns(draft, settings, fault, now))
    return task, changes if task.visible_at > now else [*changes, (task, task.status)]


def insert(connection: sqlite3.Connection, columns: dict[str, Any]) -> Task:
    """Insert a task and give it its id."""
    names = ", ".join(columns)
    marks = ", ".join(f":{name}" for name in columns)
    number = connection.execute(f"INSERT INTO tasks ({names}) VALUES ({marks})", columns).lastrowid  # noqa: S608 - our column names
    task_id = reproducible_id("task", number, columns["external_id"])
    connection.execute("UPDATE tasks SET task_id = ? WHERE n = ?", (task_id, number))
    return _task(connection.execute("SELECT * FROM tasks WHERE n = ?", (number,)).fetchone())


def poll(
    connection: sqlite3.Connection,
    identifier: str,
    transitions: Transitions,
    now: float,
    column: str | None = None,
    *,
    is_element: bool = False,
) -> tuple[Task, list[Change]] | None:
    """Find a task by task id or external id and count the poll.

    Without a `column` it is a legacy query, which takes either id and finds legacy tasks of videos
    alone, or of elements; with one it is of the standard generation, which finds every task.

    Of several tasks with one external id (duplicates allowed) it is the first.

    Returns:
        The task and its changes of status; None when there is no such task.
    """
    legacy = (
        "(task_id = :id OR external_id = :id) AND generation = 'legacy' AND (element IS NOT NULL) = :element"
    )
    named = f"{column} = :id" if column else legacy
    row = connection.execute(
        f"SELECT * FROM tasks WHERE {named} AND visible_at <= :now ORDER BY task_id != :id, n LIMIT 1",  # noqa: S608 - our names
        {"id": identifier, "now": now, "element": is_element},
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
    connection: sqlite3.Connection,
    page: int,
    size: int,
    transitions: Transitions,
    now: float,
    *,
    are_elements: bool = False,
) -> tuple[list[Task], list[Change]]:
    """Return one page of visible legacy tasks of videos or of elements, newest first.

    Listing is no poll; the changes of status come second.
    """
    changes = advance_due(connection, transitions, now)
    rows = connection.execute(
        "SELECT * FROM tasks WHERE visible_at <= ? AND generation = 'legacy' AND (element IS NOT NULL) = ? "
        "ORDER BY n DESC LIMIT ? OFFSET ?",
        (now, are_elements, size, (page - 1) * size),
    )
    return [_task(row) for row in rows], changes


def list_window(
    connection: sqlite3.Connection, window: Window, transitions: Transitions, now: float
) -> tuple[list[Task], bool, list[Change]]:
    """Return one page of a window's tasks, whether more follow, and the changes of status."""
    changes = advance_due(connection, transitions, now)
    marks = ", ".join("?" * len(window.statuses))
    rows = connection.execute(
        f"SELECT * FROM tasks WHERE visible_at <= ? AND created_ms BETWEEN ? AND ? AND n < ? "  # noqa: S608 - marks
        f"AND status IN ({marks}) AND (NOT ? OR element IS NULL) AND ? ORDER BY n DESC LIMIT ?",
        (
            *(now, window.start_ms, window.end_ms, LAST if window.before is None else window.before),
            *(*window.statuses, window.is_video, window.is_known, window.limit + 1),
        ),
    ).fetchall()
    return [_task(row) for row in rows[: window.limit]], len(rows) > window.limit, changes


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
        "SELECT units FROM tasks WHERE status = 'succeed' OR (status = 'failed' AND fate LIKE '%-charge%')"
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
    seconds = facts.duration_seconds
    return task_columns(order.external_task_id, settings, fault, now) | {
        "generation": order.generation,
        "callback_url": order.callback_url,
        "watermark": order.watermark,
        "sound": order.keep_original_sound and facts.has_sound,
        "mode": order.mode,
        "picture": draft.picture,
        "clip": draft.clip,
        "frames": round(_output_seconds(seconds, fault) * FRAMES_PER_SECOND),
        "units": str(units_for(order.model_name, order.mode, seconds)),
    }


def task_columns(
    external_id: str | None, settings: SandboxOptions, fault: Fault, now: float
) -> dict[str, Any]:
    """Return the columns of a new task that do not depend on what it makes."""
    visible_at = now + fault.number if fault.kind == "accept-late-S" else now
    now_ms = int(now * 1000)
    odd = fault.kind.rpartition("-")[2]
    return {
        "generation": "legacy",
        "external_id": external_id,
        "unique_external_id": None if settings.duplicates_allowed else external_id,
        "charge": odd if "charge-" in fault.kind and odd in ODD_CHARGES else settings.charge,
        "fate": fault.kind if fault.kind in FAILURES else "succeed",
        "status": "submitted",
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


def _move(connection: sqlite3.Connection, task: Task, stage: Stage, now: float) -> tuple[Task, list[Change]]:
    """Advance a task to a stage through every status in between, never backwards."""
    end = "failed" if task.fate in FAILURES else "succeed"
    path = ["submitted", "processing", end]
    changes: list[Change] = []
    for status in path[path.index(task.status) + 1 : list(Stage).index(stage) + 1]:
        task = replace(task, status=status, updated_ms=int(now * 1000))
        changes.append((task, status))
    if changes:
        connection.execute(
            "UPDATE tasks SET status = ?, updated_ms = ? WHERE n = ?",
            (task.status, task.updated_ms, task.n),
        )
    return task, changes


def reproducible_id(kind: str, number: int | None, external_id: str | None) -> str:
    """Return an id of 18 digits, the same when the same calls are made on a fresh state."""
    digest = hashlib.sha256(f"{kind}:{number}:{external_id or ''}".encode()).digest()
    return str(8 * 10**17 + int.from_bytes(digest[:8], "big") % 10**17)


def _task(row: sqlite3.Row) -> Task:
    values = {name: row[name] for name in row.keys() if name != "unique_external_id"}  # noqa: SIM118 - a Row iterates over its values
    values |= {name: bool(values[name]) for name in ("watermark", "sound")}
    values["units"] = Decimal(values["units"])
    return Task(**values)
