"""Tasks as a table in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kling_once.api.models import Task

HEADS = ("created (UTC)", "task_id", "status", "units", "external_task_id", "reason")
REASON_CHARACTERS = 80


def task_table(tasks: Sequence[Task]) -> str:
    """Return one line for each task under a line of heads; never a link."""
    if not tasks:
        return "No tasks on this page."
    rows = [HEADS, *(_row(task) for task in tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(task: Task) -> tuple[str, ...]:
    units = task.final_unit_deduction
    return (
        f"{task.created_at:%Y-%m-%d %H:%M}" if task.created_at else "-",
        task.task_id,
        task.task_status,
        "-" if units is None else f"{units.normalize():f}",
        task.task_info.external_task_id or "-",
        task.task_status_msg[:REASON_CHARACTERS] if task.task_status_msg else "",
    )
