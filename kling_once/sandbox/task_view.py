"""A task as it looks on the wire: after a create, in a query, and in a callback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .tasks import FRAMES_PER_SECOND, Task

if TYPE_CHECKING:
    from collections.abc import Callable


def created_view(task: Task) -> dict[str, Any]:
    """Show a task as the answer to its create."""
    return {
        "task_id": task.task_id,
        "task_info": _info(task),
        "task_status": "submitted",
        "created_at": task.created_ms,
        "updated_at": task.created_ms,
    }


def query_view(task: Task, link: Callable[[Task, str], str]) -> dict[str, Any]:
    """Show a task as a query does; `link(task, name)` makes a result's URL.

    Not documented and decided here: `task_status_msg` is empty and `task_result` an empty object until
    there is something to say; a deduction is absent until the end.
    """
    view: dict[str, Any] = {
        "task_id": task.task_id,
        "task_status": task.status,
        "task_status_msg": task.message,
        "task_info": _info(task),
        "task_result": {},
        "watermark_info": {"enabled": task.watermark},
        "created_at": task.created_ms,
        "updated_at": task.updated_ms,
    }
    if task.status == "succeed":
        video = _video(task, link)
        if task.watermark:
            video["watermark_url"] = link(task, task.watermark_name)
        view["task_result"] = {"videos": [video]}
    return view | _deduction(task)


def callback_view(task: Task, status: str, link: Callable[[Task, str], str]) -> dict[str, Any]:
    """Show a task as the legacy callback does, when it took `status`."""
    shown = replace(task, status=status)
    view: dict[str, Any] = {
        "task_id": task.task_id,
        "task_status": status,
        "task_status_msg": task.message,
        "created_at": task.created_ms,
        "updated_at": task.updated_ms,
        "task_info": _info(task),
        "task_result": {"videos": [_video(task, link)] if status == "succeed" else []},
    }
    return view | _deduction(shown)


def strangers_view(identifier: str, now_ms: int) -> dict[str, Any]:
    """Show another customer's task, as the fault `wrong-owner` answers."""
    return {
        "task_id": "899999999999999999",
        "task_status": "processing",
        "task_status_msg": "",
        "task_info": {"external_task_id": f"not-{identifier[:40]}-but-another"},
        "task_result": {},
        "watermark_info": {"enabled": False},
        "created_at": now_ms,
        "updated_at": now_ms,
    }


def _video(task: Task, link: Callable[[Task, str], str]) -> dict[str, Any]:
    seconds = f"{task.frames / FRAMES_PER_SECOND:.3f}".rstrip("0").rstrip(".")
    return {"id": f"{int(task.task_id) + 1}", "url": link(task, task.result_name), "duration": seconds}


def _info(task: Task) -> dict[str, Any]:
    return {} if task.external_id is None else {"external_task_id": task.external_id}


def _deduction(task: Task) -> dict[str, Any]:
    if task.status == "succeed" or (task.status == "failed" and task.fate == "task-failed-charged"):
        return task.charge
    return {}
