"""Results, checks, jobs and tasks as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import ApiError, InputRefused, KlingOnceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from ..api.models import Task
    from ..errors import Violation
    from ..jobs.check import Checked
    from ..jobs.outcome import Outcome

ATTEMPT_COLUMNS: Final = (
    "started_at",
    "job_key",
    "service",
    "realm",
    "project",
    "model",
    "mode",
    "take",
    "image_name",
    "video_name",
    "number",
    "state",
    "task_id",
    "external_id",
    "seconds",
    "units_estimated",
    "units_charged",
    "cash_charged",
    "currency",
    "result_path",
    "reason",
)
"""What a list of attempts shows; never a link or a prompt."""


def number_of(amount: Decimal | None) -> float | None:
    """Return an amount as JSON's number."""
    return None if amount is None else float(amount)


def moment_text(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601."""
    return moment.isoformat(timespec="seconds") if moment else None


def violation_payloads(violations: Iterable[Violation]) -> list[dict[str, str]]:
    """Return what is wrong with inputs, one by one."""
    return [{"field": one.field, "rule": one.rule, "message": one.message} for one in violations]


def outcome_payload(outcome: Outcome) -> dict[str, Any]:
    """Return a kept video; the links are in it because the person asked for them."""
    attempt = outcome.attempt
    return {
        "job_key": attempt.job_key,
        "task_id": attempt.task_id,
        "external_task_id": attempt.external_id,
        "status": attempt.state.value,
        "path": str(outcome.path),
        "video_url": attempt.video_url,
        "watermark_url": attempt.watermark_url,
        "duration_seconds": number_of(attempt.result_seconds),
        "units": number_of(attempt.units_charged),
        "units_estimated": number_of(attempt.units_estimated),
        "cash": number_of(attempt.cash_charged),
        "currency": attempt.currency,
        "reused": outcome.reused,
        "report": outcome.report(),
    }


def checked_payload(checked: Checked) -> dict[str, Any]:
    """Return what a check found; units and money are what running the order would cost at the most."""
    price = checked.price
    usd = price is not None and price.currency == "USD"
    return {
        "ok": checked.ok,
        "violations": violation_payloads(checked.violations),
        "refusals": list(checked.refusals),
        "notes": list(checked.notes),
        "report": list(checked.report),
        "seconds": number_of(price.seconds) if price else None,
        "units": number_of(price.units) if price else None,
        "usd": number_of(price.cash) if price and usd else None,
        "cny": number_of(price.cash) if price and not usd else None,
        "job_key": checked.job_key,
        "is_kept": checked.is_kept,
        "written": [str(path) for path in checked.written],
    }


def attempt_payload(row: dict[str, Any]) -> dict[str, Any]:
    """Return one attempt of the ledger with its job's names."""
    amounts = ("seconds", "units_estimated", "units_charged", "cash_charged")
    return (
        {name: row[name] for name in ATTEMPT_COLUMNS}
        | {"started_at": moment_text(row["started_at"])}
        | {name: number_of(row[name]) for name in amounts}
    )


def task_payload(task: Task) -> dict[str, Any]:
    """Return one of the account's tasks, without its links."""
    video = task.video
    return {
        "task_id": task.task_id,
        "external_task_id": task.task_info.external_task_id or None,
        "status": task.task_status,
        "reason": task.task_status_msg or None,
        "created_at": moment_text(task.created_at),
        "duration_seconds": number_of(video.duration) if video else None,
        "units": number_of(task.final_unit_deduction),
    }


def error_payload(error: KlingOnceError) -> dict[str, Any]:
    """Return what went wrong."""
    payload: dict[str, Any] = {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint or None,
        "task_id": error.task_id,
    }
    if isinstance(error, InputRefused):
        payload["violations"] = violation_payloads(error.violations)
    if isinstance(error, ApiError):
        payload |= {
            "code": error.code,
            "http_status": error.http_status,
            "request_id": error.request_id or None,
        }
    return payload
