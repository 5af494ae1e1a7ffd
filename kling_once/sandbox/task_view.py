"""A task on the wire: as the answer to its create, in a query, and in a callback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .elements import element_result
from .rules import FRAMES_PER_SECOND

if TYPE_CHECKING:
    from .tasks import Task


def created_view(task: Task) -> dict[str, Any]:
    """Return a task as the answer to its create."""
    return {
        "task_id": task.task_id,
        "task_info": _info(task),
        "task_status": "submitted",
        "created_at": task.created_ms,
        "updated_at": task.created_ms,
    }


def query_view(task: Task, origin: str) -> dict[str, Any]:
    """Return a task as a query shows it, with result URLs at `origin`.

    Not documented and decided here: `task_status_msg` is empty and `task_result` an empty object until
    the task has ended; a deduction is absent until then.
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
    if task.element is not None:
        view["task_result"] = element_result(task, origin)
        del view["watermark_info"]
    elif task.status == "succeed":
        video = _video(task, origin)
        if task.watermark:
            video["watermark_url"] = result_url(origin, task, task.watermark_name)
        view["task_result"] = {"videos": [video]}
    return view | _deduction(task)


def callback_view(task: Task, status: str, origin: str) -> dict[str, Any]:
    """Return a task as the legacy callback shows it when it reached `status`."""
    shown = replace(task, status=status)
    view: dict[str, Any] = {
        "task_id": task.task_id,
        "task_status": status,
        "task_status_msg": shown.message,
        "created_at": task.created_ms,
        "updated_at": task.updated_ms,
        "task_info": _info(task),
        "task_result": {"videos": [_video(task, origin)] if status == "succeed" else []},
    }
    if task.element is not None:
        view["task_result"] = element_result(shown, origin)
    return view | _deduction(shown)


def strangers_view(identifier: str, now_ms: int) -> dict[str, Any]:
    """Return another customer's task, as the fault `wrong-owner` answers."""
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


def result_url(origin: str, task: Task, name: str) -> str:
    """Return a result's URL; `name` is one of the task's two names that cannot be guessed."""
    return f"{origin}/sandbox/results/{task.task_id}/{name}.mp4"


def _video(task: Task, origin: str) -> dict[str, Any]:
    seconds = f"{task.frames / FRAMES_PER_SECOND:.3f}".rstrip("0").rstrip(".")
    url = result_url(origin, task, task.result_name)
    return {"id": f"{int(task.task_id) + 1}", "url": url, "duration": seconds}


def _info(task: Task) -> dict[str, Any]:
    return {} if task.external_id is None else {"external_task_id": task.external_id}


def _deduction(task: Task) -> dict[str, Any]:
    if not task.charged or task.charge == "none":
        return {}
    if task.is_charged_in_cash:
        return {"final_balance_deduction": {"quota": task.amount, "list_price": task.amount}}
    return {"final_unit_deduction": task.amount}
