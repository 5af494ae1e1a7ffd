"""The ledger's jobs as the page shows them. Never a link, never a stored workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..api.service_codes import SERVICE_CODES
from ..jobs.next_step import RETRY_HINT, is_input_failure
from .payloads import error_payload, moment_text, number_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..errors import KlingOnceError
    from ..jobs.attempt import Attempt
    from ..jobs.progress import Progress

PLAIN: Final = (
    "job_key",
    "service",
    "realm",
    "project",
    "profile",
    "model",
    "mode",
    "take",
    "image_name",
    "video_name",
    "number",
    "state",
    "task_id",
    "external_id",
    "currency",
    "reason",
)
AMOUNTS: Final = ("seconds", "units_estimated", "units_charged", "cash_charged", "result_seconds")
MOMENTS: Final = ("started_at", "submitted_at", "ended_at")
GONE_HINT: Final = "Only a new take makes it again, and is paid again."


def job_payload(
    row: dict[str, Any],
    *,
    progress: Progress | None = None,
    usual_seconds: float | None = None,
    trouble: KlingOnceError | None = None,
    place: dict[str, str] | None = None,
    has_file: bool = False,
    has_picture: bool = False,
) -> dict[str, Any]:
    """Return a job with its newest attempt.

    `progress` is where it stands in this process, `trouble` why the last collecting ended, `place` where
    the kept file lies as ComfyUI names it, where ComfyUI can. An intent that was never sent, and that
    nobody works on, costs nothing; one that was sent may have become a task.
    """
    is_intent, was_sent = row["state"] == "intent", row["posted_at"] is not None
    instead: dict[str, Any] = {}
    if is_intent and was_sent:
        instead = {"state": "unknown"}
    elif is_intent and progress is None:
        instead = {"units_estimated": None}
    return {
        **{name: row[name] for name in PLAIN},
        **{name: number_of(row[name]) for name in AMOUNTS},
        **{name: moment_text(row[name]) for name in MOMENTS},
        "stage": progress.stage.value if progress else None,
        "done": progress.done if progress else 0,
        "total": progress.total if progress else 0,
        "usual_seconds": usual_seconds,
        "advice": advice(row),
        "trouble": error_payload(trouble) if trouble else None,
        "file": place,
        "has_file": has_file,
        "has_picture": has_picture,
        "has_workflow": bool(row["has_workflow"]),
        **instead,
    }


def detail_payload(job: dict[str, Any], row: dict[str, Any], known: list[Attempt]) -> dict[str, Any]:
    """Return a listed job with what only its own page shows."""
    motion = ("prompt", "character_orientation", "keep_original_sound", "element_id", "watermark")
    return job | {name: row[name] for name in motion} | {"attempts": [_attempt(one) for one in known]}


def advice(row: dict[str, Any]) -> str | None:
    """Return what to do about a job that ended without a video."""
    if row["state"] == "rejected" and row["reason_code"] in SERVICE_CODES:
        return SERVICE_CODES[row["reason_code"]].hint
    if row["state"] == "failed":
        charged = row["units_charged"] or row["cash_charged"]
        return RETRY_HINT if is_input_failure(row["reason"]) or charged else "Run it again."
    return GONE_HINT if row["state"] == "expired" else None


def viewed_as(path: Path, output_folder: Path) -> dict[str, str] | None:
    """Return how ComfyUI names a file in its output folder; None for one that lies elsewhere."""
    try:
        inside = path.resolve().relative_to(output_folder.resolve())
    except ValueError:
        return None
    folder = inside.parent.as_posix()
    return {"filename": inside.name, "subfolder": "" if folder == "." else folder, "type": "output"}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "state": attempt.state.value,
        "task_id": attempt.task_id,
        "external_id": attempt.external_id,
        "started_at": attempt.created_at.isoformat(timespec="seconds"),
        "units_charged": number_of(attempt.units_charged),
        "reason": attempt.reason,
    }
