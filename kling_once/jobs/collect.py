"""Fetch a succeeded task's video, prove that it is one, and keep it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from ..api.download import Download, DownloadPolicy, LinkExpired
from ..api.transport import read_again
from ..errors import (
    ApiError,
    DiskFull,
    DownloadBroken,
    KlingOnceError,
    UnreadableMedia,
)
from ..ledger.attempts import AttemptState
from ..ledger.decision import gone as result_gone
from ..media.probe import probe_clip
from ..order import EMBEDDED_ORIGIN, SANDBOX_REALM
from ..origins import is_loopback
from ..results.store import sidecar_of, way_out
from ..results.workflow import embed_workflow
from .progress import Stage
from .tasks import (
    Gone,
    ask,
    charge_columns,
    is_lost,
    is_past_lifetime,
    kept_columns,
    link_columns,
    link_expiry,
    of_an_element,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ..api.models import Answer, Task
    from ..media.types import ClipFacts
    from ..results.store import ResultStore
    from .run import Run

logger = logging.getLogger(__name__)

FRESH_LINKS: Final = 3
"""How often the vendor is asked for a new link before a download is given up."""


async def collect(run: Run) -> None:
    """Bring a succeeded attempt to kept, or to expired when the vendor has cleared it.

    Raises:
        DownloadError, DiskFull, ApiError, TransportError: not now; the attempt stays succeeded and can be
            collected again.
        ResultGone: the file was deleted here, and the vendor no longer has it either.
        LeaseLost: another process took over.
    """
    try:
        await _collect(run)
    except Gone as gone:
        await _cleared(run, gone.server_time)
    except KlingOnceError:
        raise
    except OSError as error:
        raise not_written(run.services.results, error, run.attempt.task_id) from None


async def collect_element(run: Run) -> None:
    """Bring a succeeded attempt of an element to kept, or to expired when the element was deleted.

    Raises:
        DownloadBroken: the vendor names no element yet.
        ApiError, TransportError: not now.
        LeaseLost: another process took over.
    """
    now = run.services.clock.now()
    try:
        element = (await _look(run)).value.element
    except Gone as gone:
        reason = f"{run.service_name} no longer has it."
        await run.note(state=AttemptState.EXPIRED, ended_at=gone.server_time or now, reason=reason)
        return
    if element is None:
        message = "Kling says that the task succeeded, and names no element."
        raise DownloadBroken(message, hint="Run again later.")
    if element.is_deleted:
        reason = "The element was deleted."
        await run.note(
            state=AttemptState.EXPIRED, ended_at=now, made_element_id=element.element_id, reason=reason
        )
        return
    await run.note(state=AttemptState.KEPT, ended_at=now, made_element_id=element.element_id, reason=None)
    run.services.library.forget_lists()
    run.say(Stage.KEPT, "kept")
    logger.info("Task %s made element %s.", run.attempt.task_id, element.element_id)


async def _collect(run: Run) -> None:
    part = await asyncio.to_thread(run.services.results.part_path, run.label, run.services.ledger.owner.name)
    try:
        await _fetch(run, part)
        facts = await _verified(run, part)
        await keep(run, part, facts)
    finally:
        part.unlink(missing_ok=True)
    await _keep_watermarked(run)


async def _cleared(run: Run, server_time: datetime | None) -> None:
    """End an attempt whose video the vendor has cleared; one that was kept here may be put back by hand."""
    if run.attempt.result_path is not None:
        await run.note(state=AttemptState.KEPT)
        raise result_gone(run.attempt, server_time or run.services.clock.now())
    await run.note(
        state=AttemptState.EXPIRED,
        ended_at=server_time or run.services.clock.now(),
        reason=f"{run.service_name} has cleared the video.",
    )


def not_written(store: ResultStore, error: OSError, task_id: str | None) -> DiskFull:
    """Return what people are told when a paid result cannot be written."""
    return DiskFull(
        f"The result could not be written to {store.root}: {error.strerror or error}.",
        hint=f"{way_out(error)} Then run again: the video is paid and stays collectable.",
        task_id=task_id,
    )


async def _keep_watermarked(run: Run) -> None:
    """Keep the watermarked copy beside the video where one was made; what fails here loses nothing paid."""
    if not run.attempt.watermark_url or run.attempt.result_path is None:
        return
    results, owner = run.services.results, run.services.ledger.owner.name
    part: Path | None = None
    try:
        part = await asyncio.to_thread(results.part_path, run.label, f"{owner}-watermark")
        pause_seconds = min(1.0, run.pace.poll_seconds)
        await _download(run, part).fetch(run.attempt.watermark_url, pause_seconds=pause_seconds)
        await _verified(run, part)
        await embed_workflow(run.services.settings, run.services.ledger, run.label.key, run.graph, part)
        await asyncio.to_thread(part.replace, results.watermarked_path(run.attempt.result_path))
    except (KlingOnceError, OSError) as error:
        logger.warning("The watermarked copy of task %s is not kept: %s", run.attempt.task_id, error)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _download(run: Run, part: Path) -> Download:
    policy = DownloadPolicy(
        loopback_allowed=run.attempt.origin == EMBEDDED_ORIGIN or is_loopback(run.attempt.origin),
        allowed_hosts=run.services.settings.allow_hosts,
    )

    def on_bytes(done: int, total: int | None) -> None:
        run.say(Stage.DOWNLOAD, "downloading", done=done, total=total or 0)

    return Download(part, policy, run.services.clock, on_bytes)


async def _fetch(run: Run, part: Path) -> None:
    download = _download(run, part)
    for look in range(FRESH_LINKS):
        answer = await _look(run)
        video = answer.value.video
        if video is not None:
            await run.note(**link_columns(answer.value), **_late_charge_columns(run, answer.value))
            run.say(Stage.DOWNLOAD, "downloading")
            try:
                await download.fetch(video.url, pause_seconds=min(1.0, run.pace.poll_seconds))
            except LinkExpired as refused:
                if _is_cleared(run, answer, refused):
                    raise Gone(answer.server_time) from None
                if look == FRESH_LINKS - 1:
                    raise
            else:
                return
        elif answer.value.element is not None:
            raise of_an_element(run.task_id)
        await run.services.clock.sleep(run.pace.poll_seconds)
    raise DownloadBroken("Kling says that the task succeeded, and names no video.", hint="Run again later.")


def _late_charge_columns(run: Run, task: Task) -> dict[str, Any]:
    """Return a charge that the vendor states later than the task's end."""
    return {} if run.attempt.is_charge_stated else charge_columns(task, run.attempt.realm)


def _is_cleared(run: Run, answer: Answer[Task], refused: LinkExpired) -> bool:
    """Tell whether a fresh link is refused because the video is gone for good.

    A refusal alone proves nothing: the link's own time must have passed, or the host must say that there is
    no such file when the task is past its lifetime.
    """
    video, server_time = answer.value.video, answer.server_time
    expiry = link_expiry(video.url) if video else None
    if expiry is not None and server_time is not None:
        submitted_at = run.attempt.submitted_at
        return server_time > expiry and (submitted_at is None or expiry > submitted_at)
    return refused.is_missing and is_past_lifetime(run.attempt, answer.value, server_time)


async def _look(run: Run) -> Answer[Task]:
    """Ask for the task anew: its links are only as old as the answer."""
    run.task_id  # noqa: B018 - raises where there is none
    absences = 0
    while True:
        try:
            return await read_again(
                lambda: ask(run.client, run.attempt),
                run.services.clock,
                pause_seconds=run.pace.poll_seconds,
            )
        except ApiError as error:
            if not isinstance(error, run.client.absent):
                raise
            absences += 1
            if is_lost(run.attempt, error, absences):
                raise Gone(error.server_time) from None
            if run.attempt.realm != SANDBOX_REALM:
                raise DownloadBroken(
                    f"Kling does not know the task at the moment: {error.message}", hint="Run again later."
                ) from None
        await run.services.clock.sleep(run.pace.poll_seconds)


async def _verified(run: Run, part: Path) -> ClipFacts:
    try:
        return await asyncio.to_thread(probe_clip, part)
    except UnreadableMedia as error:
        raise DownloadBroken(
            f"What Kling delivered for the task is not a playable video: {error.message}",
            hint="Nothing is lost: run again to fetch it again.",
            task_id=run.attempt.task_id,
        ) from None


async def keep(run: Run, part: Path, facts: ClipFacts) -> None:
    """Move a proven video into the results folder and note it in the ledger."""
    await embed_workflow(run.services.settings, run.services.ledger, run.label.key, run.graph, part)
    await run.note()  # the lease is still ours
    kept = await run.services.results.keep(run.label, part, sidecar_of(run.attempt, run.label))
    await run.note(**kept_columns(kept, facts), ended_at=run.services.clock.now())
    run.say(Stage.KEPT, "kept")
    logger.info("Task %s is kept as %s.", run.attempt.task_id, kept.relative)
