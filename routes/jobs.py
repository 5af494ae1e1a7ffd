"""Jobs: lists, pictures, collecting, forgetting."""

from __future__ import annotations

import asyncio
import logging
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..kling_once.errors import KlingOnceError, ResultGone
from ..kling_once.jobs.estimate import pace_of, usual_seconds
from ..kling_once.jobs.forget import forget as forget_job
from ..kling_once.jobs.graphs import workflow_of
from ..kling_once.jobs.job import service_of
from ..kling_once.jobs.listing import Page, list_jobs
from ..kling_once.jobs.next_step import Serve, next_step
from ..kling_once.jobs.pictures import picture_path, poster_of
from ..kling_once.pages.jobs import detail_payload, job_payload, viewed_as
from .refusals import json_answer

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from ..kling_once.jobs.engine import Engine
    from ..kling_once.jobs.outcome import Outcome
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
    total, found = await asyncio.to_thread(_listed, asked, page)
    return json_answer({"total": total, "offset": wanted.offset, "jobs": [job for job, _row in found]})


async def job(asked: Asked) -> web.Response:
    """Answer one job."""
    _total, found = await asyncio.to_thread(_listed, asked, Page(job_key=asked.job_key))
    if not found:
        raise _unknown(asked.job_key)
    payload, row = found[0]
    known = await asyncio.to_thread(asked.engine.ledger().attempts_of, asked.job_key)
    return json_answer(detail_payload(payload, row, known))


async def job_workflow(asked: Asked) -> web.Response:
    """Answer the workflow that ordered a job."""
    workflow = await asyncio.to_thread(lambda: workflow_of(asked.engine.ledger().database, asked.job_key))
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
    data = await asyncio.to_thread(lambda: poster_of(_video_path(asked)))
    return web.Response(body=data, content_type="image/jpeg", headers=PICTURE_HEADERS)


async def job_video(asked: Asked) -> web.StreamResponse:
    """Answer a kept video; parts of it where the player asks for them."""
    path = await asyncio.to_thread(_video_path, asked)
    headers = {"X-Content-Type-Options": "nosniff", "Content-Type": "video/mp4"}
    return web.FileResponse(path, headers=headers)


async def collect(asked: Asked) -> web.Response:
    """Begin to collect a job; the page hears how it goes."""
    await asyncio.to_thread(_require_collectable, asked)
    key, engine = asked.job_key, asked.engine
    _troubles.pop(key, None)
    engine.collect(key).add_done_callback(partial(note_end, engine, key))
    return json_answer({"job_key": key, "collecting": True}, HTTPStatus.ACCEPTED)


async def forget(asked: Asked) -> web.Response:
    """Hide a job."""
    engine = asked.engine
    deleted = await asyncio.to_thread(
        lambda: forget_job(
            engine.ledger().database,
            engine.store,
            asked.job_key,
            engine.clock.now(),
            delete_file=asked.values.delete_file,
        )
    )
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


def _listed(asked: Asked, page: Page) -> tuple[int, list[tuple[dict[str, Any], dict[str, Any]]]]:
    engine, output = asked.engine, asked.place.output_folder()
    database = engine.ledger().database
    under_way = engine.under_way()
    pace = cache(partial(pace_of, database))
    total, rows = list_jobs(database, page)
    found = []
    for row in rows:
        key = row["job_key"]
        progress = under_way.get(key)
        is_here = row["state"] == "kept" and engine.store.has(row["result_path"], row["result_size_bytes"])
        payload = job_payload(
            row,
            progress=progress,
            usual_seconds=usual_seconds(pace(row["service"], row["model"], row["mode"]), row["seconds"])
            if progress
            else None,
            trouble=None if is_here or progress else _troubles.get(key),
            place=viewed_as(engine.store.path(row["result_path"]), output) if is_here else None,
            has_file=is_here,
            has_picture=picture_path(engine.settings.home, key).is_file(),
        )
        found.append((payload, row))
    return total, found


def _video_path(asked: Asked) -> Path:
    engine = asked.engine
    root = engine.store.root.resolve()
    for attempt in reversed(engine.ledger().attempts_of(asked.job_key)):
        if attempt.result_path:
            path = engine.store.path(attempt.result_path).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
    raise ResultGone("The video is not here.", hint="Collect the job to fetch it again, while Kling has it.")


def _require_collectable(asked: Asked) -> None:
    engine = asked.engine
    known = engine.ledger().attempts_of(asked.job_key)
    if not known:
        raise _unknown(asked.job_key)
    step = next_step(known, again=False)
    is_here = isinstance(step, Serve) and engine.store.has(
        step.attempt.result_path, step.attempt.result_size_bytes
    )
    if not is_here:
        asked.require_service(service_of(known[-1].realm))


def _unknown(job_key: str) -> ResultGone:
    return ResultGone(f"The ledger knows no job {job_key[:10]}.")
