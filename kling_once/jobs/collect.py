"""Fetch a succeeded task's video, prove that it is one, and keep it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ..api.download import Download, DownloadPolicy, LinkExpired
from ..api.transport import read_again
from ..errors import (
    ApiError,
    DiskFull,
    DownloadBroken,
    KlingOnceError,
    ResultGone,
    UnreadableMedia,
)
from ..ledger.attempts import AttemptState
from ..ledger.decision import gone
from ..media.probe import probe_clip
from ..order import EMBEDDED_ORIGIN
from ..settings import is_loopback
from .progress import Stage
from .results import sidecar_of
from .tasks import (
    is_absent,
    is_past_lifetime,
    kept_columns,
    link_columns,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ..api.models import Answer, Task
    from ..media.types import ClipFacts
    from .results import ResultStore
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
    except _Gone:
        await _cleared(run)
    except KlingOnceError:
        raise
    except OSError as error:
        raise not_written(run.services.results, error, run.attempt.task_id) from None


async def _collect(run: Run) -> None:
    part = await asyncio.to_thread(run.services.results.part_path, run.label, run.services.ledger.owner.name)
    try:
        await _fetch(run, part)
        facts = await _verified(run, part)
        await keep(run, part, facts)
    finally:
        part.unlink(missing_ok=True)


async def _cleared(run: Run) -> None:
    """End an attempt whose video the vendor has cleared; one that was kept here may be put back by hand."""
    if run.attempt.result_path is not None:
        await run.note(state=AttemptState.KEPT)
        raise gone(run.attempt)
    await run.note(
        state=AttemptState.EXPIRED, ended_at=run.services.clock.now(), reason="Kling has cleared the video."
    )


def not_written(store: ResultStore, error: OSError, task_id: str | None) -> DiskFull:
    """Return what people are told when a paid result cannot be written."""
    return DiskFull(
        f"The result could not be written to {store.root}: {error.strerror or error}.",
        hint="Make room and run again: the video is paid and stays collectable.",
        task_id=task_id,
    )


async def _fetch(run: Run, part: Path) -> None:
    policy = DownloadPolicy(
        loopback_allowed=run.attempt.origin == EMBEDDED_ORIGIN or is_loopback(run.attempt.origin),
        allowed_hosts=run.services.settings.allow_hosts,
    )

    def on_bytes(done: int, total: int | None) -> None:
        run.say(Stage.DOWNLOAD, "downloading", done=done, total=total or 0)

    download = Download(part, policy, run.services.clock, on_bytes)
    for look in range(FRESH_LINKS):
        answer = await _look(run)
        video = answer.value.video
        if video is not None:
            await run.note(**link_columns(answer.value))
            run.say(Stage.DOWNLOAD, "downloading")
            try:
                await download.fetch(video.url, pause_seconds=min(1.0, run.pace.poll_seconds))
            except LinkExpired:
                if is_past_lifetime(answer.value.created_at, answer.server_time):
                    raise _Gone from None
                if look == FRESH_LINKS - 1:
                    raise
            else:
                return
        await run.services.clock.sleep(run.pace.poll_seconds)
    raise DownloadBroken("Kling says that the task succeeded, and names no video.", hint="Run again later.")


async def _look(run: Run) -> Answer[Task]:
    """Ask for the task anew: its links are only as old as the answer."""
    try:
        return await read_again(
            lambda: run.client.get_task(run.task_id),
            run.services.clock,
            pause_seconds=run.pace.poll_seconds,
        )
    except ApiError as error:
        if not is_absent(error):
            raise
        if is_past_lifetime(run.attempt.vendor_created_at, error.server_time):
            raise _Gone from None
        raise DownloadBroken(
            f"Kling does not know the task at the moment: {error.message}", hint="Run again later."
        ) from None


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
    await run.note()  # the lease is still ours
    kept = await run.services.results.keep(run.label, part, sidecar_of(run.attempt, run.label))
    await run.note(**kept_columns(kept, facts), ended_at=run.services.clock.now())
    run.say(Stage.KEPT, "kept")
    logger.info("Task %s is kept as %s.", run.attempt.task_id, kept.relative)


class _Gone(ResultGone):
    def __init__(self) -> None:
        super().__init__("Kling no longer has the result.")
