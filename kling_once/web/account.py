"""The account's own tasks."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..errors import KlingOnceError
from ..jobs.recovery import Wanted
from .jobs import note_end
from .payloads import task_payload
from .refusals import json_answer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from aiohttp import web

    from ..jobs.outcome import Outcome
    from ..jobs.progress import Progress
    from .guard import Asked

ADOPTING_SECONDS = 20.0
"""After which the page is answered although the task's own news are still to come."""


async def account(asked: Asked) -> web.Response:
    """Answer a page of the account's tasks."""
    wanted = asked.values
    asked.require_service(wanted.service)
    future = asked.engine.list_tasks(wanted.service, wanted.profile, wanted.page, wanted.page_size)
    listed = await asyncio.wrap_future(future)
    return json_answer(
        {
            "page": wanted.page,
            "page_size": wanted.page_size,
            "browse": asked.engine.settings.account_browse,
            "tasks": await _tasks(asked, listed.tasks),
            "is_last": listed.is_last,
        }
    )


async def adopt(asked: Asked) -> web.Response:
    """Begin to collect a task; answer once it is known to exist. What goes wrong later the list tells."""
    values, known, engine = asked.values, asyncio.Event(), asked.engine
    loop = asyncio.get_running_loop()
    job_keys: list[str] = []
    wanted = Wanted(
        values.task_id,
        by_external_id=False,
        service=values.service,
        profile=values.profile,
        project=values.project,
        kept_only=bool(asked.place.off_text(values.service)),
    )

    def hear(news: Progress) -> None:
        job_keys[:] = [news.job_key]
        loop.call_soon_threadsafe(known.set)

    def end(ended: Future[Outcome]) -> None:
        for job_key in job_keys:
            note_end(engine, job_key, ended)
        with contextlib.suppress(RuntimeError):  # a server that has closed waits for nothing
            loop.call_soon_threadsafe(known.set)

    future = engine.fetch(wanted, hear)
    future.add_done_callback(end)
    try:
        async with asyncio.timeout(ADOPTING_SECONDS):
            await known.wait()
    except TimeoutError:
        pass
    _raise_early_end(future)
    return json_answer({"task_id": values.task_id, "collecting": True}, HTTPStatus.ACCEPTED)


def _raise_early_end(future: Future[Any]) -> None:
    error = future.exception() if future.done() and not future.cancelled() else None
    if isinstance(error, KlingOnceError):
        raise error


async def _tasks(asked: Asked, tasks: Any) -> list[dict[str, Any]]:
    ledger = await asked.engine.ledger()
    known = await ledger.known_tasks([task.task_id for task in tasks])
    return [task_payload(task) | {"job_key": known.get(task.task_id)} for task in tasks]
