"""What the vendor says of a task, and what lies on disk, as columns of the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..api.models import TaskStatus
from ..ledger.attempts import AttemptState

if TYPE_CHECKING:
    from datetime import datetime

    from ..api.models import Task
    from ..media.types import ClipFacts
    from .results import KeptFile, Sidecar


def task_columns(task: Task, realm: str, now: datetime) -> dict[str, Any]:
    """Return a task that the ledger does not know: under way, or failed."""
    columns: dict[str, Any] = {
        "state": AttemptState.SUBMITTED,
        "task_id": task.task_id,
        "task_status": task.task_status,
        "vendor_created_at": task.created_at,
        "submitted_at": task.created_at,
    }
    if task.status is TaskStatus.FAILED:
        columns |= failure_columns(task, now) | charge_columns(task, realm)
    return columns


def failure_columns(task: Task, now: datetime) -> dict[str, Any]:
    """Return when and why a task failed."""
    return {"state": AttemptState.FAILED, "ended_at": now, "reason": task.failure_reason}


def charge_columns(task: Task, realm: str) -> dict[str, Any]:
    """Return what the vendor charged: units, or cash with the realm's currency."""
    quota = task.final_balance_deduction.quota
    currency = {"china": "CNY"}.get(realm, "USD")
    return {
        "units_charged": task.final_unit_deduction,
        "cash_charged": quota,
        "currency": currency if quota is not None else None,
    }


def link_columns(task: Task) -> dict[str, Any]:
    """Return the links of a task's video."""
    video = task.video
    return {
        "video_url": video.url if video else None,
        "watermark_url": (video.watermark_url or None) if video else None,
    }


def place_columns(kept: KeptFile) -> dict[str, Any]:
    """Return where a kept file lies."""
    return {
        "state": AttemptState.KEPT,
        "result_path": kept.relative,
        "result_size_bytes": kept.size_bytes,
        "result_digest": kept.digest,
    }


def kept_columns(kept: KeptFile, facts: ClipFacts) -> dict[str, Any]:
    """Return a file that has just been kept."""
    seconds = Decimal(str(round(facts.duration_seconds, 3)))
    return place_columns(kept) | {"result_seconds": seconds, "reason": None}


def found_columns(kept: KeptFile, sidecar: Sidecar) -> dict[str, Any]:
    """Return a kept result that the ledger does not know."""
    return place_columns(kept) | {
        "task_id": sidecar.task_id,
        "task_status": TaskStatus.SUCCEED.value,
        "seconds": sidecar.seconds,
        "units_estimated": sidecar.units_estimated,
        "units_charged": sidecar.units_charged,
        "cash_charged": sidecar.cash_charged,
        "currency": sidecar.currency,
        "vendor_created_at": sidecar.vendor_created_at,
    }
