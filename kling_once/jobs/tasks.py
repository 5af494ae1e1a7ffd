"""The vendor's task: asked for by one of its ids, read without guessing, and as columns of the ledger."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..api.limits import RESULT_LIFETIME_DAYS
from ..api.models import TaskStatus
from ..ledger.attempts import AttemptState

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from ..api.client import KlingClient
    from ..api.models import Answer, Task
    from ..ledger.attempts import Attempt
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
    """Return what the vendor charged: units, or cash with the answer's currency, else the realm's."""
    cash = task.final_balance_deduction
    currency = cash.currency or {"china": "CNY"}.get(realm, "USD")
    return {
        "units_charged": task.final_unit_deduction,
        "cash_charged": cash.quota,
        "currency": None
        if cash.quota is None
        else f"{currency} of a test balance"
        if cash.is_test
        else currency,
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


def is_ours(task: Task, attempt: Attempt) -> bool:
    """Tell whether a task carries the attempt's external id."""
    return task.task_info.external_task_id == attempt.external_id


async def if_known(client: KlingClient, answer: Awaitable[Answer[Task]]) -> Answer[Task] | None:
    """Return an answer about one task, or None when the vendor says that it knows none.

    Raises:
        ApiError, TransportError: no answer to the question.
    """
    try:
        return await answer
    except client.absent:
        return None


async def look_up(client: KlingClient, external_id: str) -> Answer[Task] | None:
    """Return the task that carries an external id, or None; raises as `if_known`."""
    return await if_known(client, client.find(external_id))


def is_past_lifetime(created_at: datetime | None, server_time: datetime | None) -> bool:
    """Tell whether the vendor has cleared a task's files, by the vendor's own clock."""
    if created_at is None or server_time is None:
        return False
    return server_time - created_at > timedelta(days=RESULT_LIFETIME_DAYS)
