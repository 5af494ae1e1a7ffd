"""Jobs: lists, pictures, collecting, forgetting."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from ..api.service_codes import SERVICE_CODES
from ..errors import KlingOnceError, ResultGone
from ..jobs.pictures import picture_path, poster_of
from ..jobs.recovery import forget as forget_job
from ..ledger.decision import (
    RETRY_HINT,
    Serve,
    is_input_failure,
    next_step,
)
from ..ledger.queries import Page, usual_seconds
from ..order import service_of
from .payloads import error_payload, moment_text, number_of
from .refusals import json_answer

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from ..jobs.engine import Engine
    from ..jobs.outcome import Outcome
    from ..jobs.progress import Progress
    from ..jobs.results import ResultStore
    from ..ledger.attempts import Attempt
    from .guard import Asked


logger = logging.getLogger(__name__)

PICTURE_HEADERS = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
TROUBLES_KEPT = 200
_troubles: dict[str, KlingOnceError] = {}
"""Why collecting a job ended without a video, since the ledger holds only what the vendor said."""


async def jobs(asked: Asked) -> web.Response:
    """Answer a page of the list."""
    wanted = asked.values
    page = Page(wanted.offset, wanted.limit, wanted.search, wanted.shown)
    total, found = await _listed(asked, page)
    return json_answer({"total": total, "offset": wanted.offset, "jobs": [job for job, _row in found]})


async def job(asked: Asked) -> web.Response:
    """Answer one job."""
    _total, found = await _listed(asked, Page(job_key=asked.job_key))
    if not found:
        raise _unknown(asked.job_key)
    payload, row = found[0]
    known = await (await asked.engine.ledger()).attempts_of(asked.job_key)
    return json_answer(detail_payload(payload, row, known))


async def job_workflow(asked: Asked) -> web.Response:
    """Answer the workflow that ordered a job."""
    workflow = await (await asked.engine.ledger()).workflow_of(asked.job_key)
    if workflow is None:
        raise ResultGone("No workflow is known for this job.")
    return json_answer({"workflow": workflow})


async def job_picture(asked: Asked) -> web.StreamResponse:
    """Answer the small picture of a job's reference image."""
    path = picture_path(asked.engine.settings.home, asked.job_key)
    if not await asyncio.to_thread(path.is_file):
        raise ResultGone("There is no picture of this job.")
    return web.FileResponse(path, headers=PICTURE_HEADERS)


async def job_poster(asked: Asked) -> web.StreamResponse:
    """Answer the first frame of a kept video."""
    data = await asyncio.to_thread(poster_of, await _video_path(asked))
    return web.Response(body=data, content_type="image/jpeg", headers=PICTURE_HEADERS)


async def job_video(asked: Asked) -> web.StreamResponse:
    """Answer a kept video; parts of it where the player asks for them."""
    path = await _video_path(asked)
    headers = {"X-Content-Type-Options": "nosniff", "Content-Type": "video/mp4"}
    return web.FileResponse(path, headers=headers)


async def collect(asked: Asked) -> web.Response:
    """Begin to collect a job; the page hears how it goes."""
    await _require_collectable(asked)
    key, engine = asked.job_key, asked.engine
    _troubles.pop(key, None)
    engine.collect(key).add_done_callback(partial(note_end, engine, key))
    return json_answer({"job_key": key, "collecting": True}, HTTPStatus.ACCEPTED)


async def forget(asked: Asked) -> web.Response:
    """Hide a job."""
    engine = asked.engine
    ledger, delete_file = await engine.ledger(), asked.values.delete_file
    deleted = await forget_job(ledger, engine.store, asked.job_key, delete_file=delete_file)
    engine.watchers.tell(asked.job_key, "forgotten")
    return json_answer({"job_key": asked.job_key, "deleted": deleted})


def note_end(engine: Engine, key: str, ended: Future[Outcome]) -> None:
    """Keep why a job's collecting ended without a video, and tell the page."""
    error = None if ended.cancelled() else ended.exception()
    if isinstance(error, KlingOnceError):
        while len(_troubles) >= TROUBLES_KEPT:
            _troubles.pop(next(iter(_troubles)))
        _troubles[key] = error
        engine.watchers.tell(key, "ended")
    elif error is not None:
        logger.error("Collecting job %s failed.", key[:10], exc_info=error)


async def _listed(asked: Asked, page: Page) -> tuple[int, list[tuple[dict[str, Any], dict[str, Any]]]]:
    ledger, under_way = await asked.engine.ledger(), asked.engine.under_way()
    total, rows = await ledger.list_jobs(page)
    kinds = {_kind(row) for row in rows if row["job_key"] in under_way}
    paces = {kind: await ledger.pace_of(*kind) for kind in kinds}
    return total, await asyncio.to_thread(_payloads, asked, rows, under_way, paces)


def _kind(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["service"], row["model"], row["mode"]


def _payloads(
    asked: Asked,
    rows: list[dict[str, Any]],
    under_way: dict[str, Progress],
    paces: dict[tuple[str, str, str], float | None],
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    engine, output = asked.engine, asked.place.output_folder()
    found = []
    for row in rows:
        key = row["job_key"]
        progress = under_way.get(key)
        is_here = row["state"] == "kept" and engine.store.has(row["result_path"], row["result_size_bytes"])
        payload = job_payload(
            row,
            progress=progress,
            usual_seconds=usual_seconds(paces[_kind(row)], row["seconds"]) if progress else None,
            trouble=None if is_here or progress else _troubles.get(key),
            place=viewed_as(engine.store.path(row["result_path"]), output) if is_here else None,
            has_file=is_here,
            has_picture=picture_path(engine.settings.home, key).is_file(),
        )
        found.append((payload, row))
    return found


async def _video_path(asked: Asked) -> Path:
    known = await (await asked.engine.ledger()).attempts_of(asked.job_key)
    return await asyncio.to_thread(_newest_video, asked.engine.store, known)


def _newest_video(store: ResultStore, known: list[Attempt]) -> Path:
    root = store.root.resolve()
    for attempt in reversed(known):
        if attempt.result_path:
            path = store.path(attempt.result_path).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
    raise ResultGone("The video is not here.", hint="Collect the job to fetch it again, while Kling has it.")


async def _require_collectable(asked: Asked) -> None:
    known = await (await asked.engine.ledger()).attempts_of(asked.job_key)
    if not known:
        raise _unknown(asked.job_key)
    step = next_step(known, again=False)
    is_here = isinstance(step, Serve) and await asyncio.to_thread(
        asked.engine.store.has, step.attempt.result_path, step.attempt.result_size_bytes
    )
    if not is_here:
        asked.require_service(service_of(known[-1].realm))


def _unknown(job_key: str) -> ResultGone:
    return ResultGone(f"The ledger knows no job {job_key[:10]}.")


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
    "adopted",
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
        "started_at": moment_text(attempt.created_at),
        "units_charged": number_of(attempt.units_charged),
        "reason": attempt.reason,
    }
