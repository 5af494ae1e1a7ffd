"""Wait for a task, fetch its video, prove that it is one, and keep it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..api.download import Download, DownloadPolicy, LinkExpired
from ..api.models import TaskStatus
from ..api.retry import read_again
from ..errors import (
    ApiError,
    DiskFull,
    DownloadBroken,
    KlingOnceError,
    ResultGone,
    StillRunning,
    TaskFailed,
    TransportError,
    UnreadableMedia,
    vendor_text,
)
from ..ledger.attempts import Attempt, AttemptState
from ..ledger.decision import (
    RETRY_HINT,
    charge_text,
    gone,
    is_input_failure,
)
from ..media.probe import probe_clip
from ..order import EMBEDDED_ORIGIN
from ..settings import is_loopback
from .columns import (
    charge_columns,
    failure_columns,
    kept_columns,
    link_columns,
)
from .hints import pause_for_hint
from .polling import wait_for_end
from .progress import Stage
from .results import Sidecar
from .work import Work, is_absent, is_past_lifetime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ..api.models import Answer, Task
    from ..ledger.job import JobLabel
    from ..media.types import ClipFacts
    from .results import ResultStore

logger = logging.getLogger(__name__)

UNWATCHED: Final = timedelta(hours=24)
FRESH_LINKS: Final = 3
"""How often the vendor is asked for a new link before a download is given up."""


async def wait(work: Work) -> None:
    """Bring a submitted attempt to succeeded, failed or expired.

    Raises:
        ApiError: looking again cannot help, such as a key that is refused; the task goes on.
        LeaseLost: another process took over.
    """

    async def on_answer(answer: Answer[Task]) -> None:
        _require_interest(work)
        task = answer.value
        work.say(Stage.WAIT, f"Kling says: {vendor_text(task.task_status)}")
        if task.task_status != work.attempt.task_status:
            await work.note(task_status=task.task_status, vendor_created_at=task.created_at)

    async def on_trouble(error: ApiError | TransportError, times: int) -> None:
        _require_interest(work)
        logger.info(
            "Task %s could not be looked at (%d in a row): %s", work.attempt.task_id, times, error.message
        )
        work.say(Stage.WAIT, f"no answer from Kling, looking again ({times})")
        gone = (
            isinstance(error, ApiError)
            and is_absent(error)
            and is_past_lifetime(work.attempt.vendor_created_at, error.server_time)
        )
        if gone:
            raise _Gone

    try:
        answer = await wait_for_end(
            work.client,
            _task_id(work.attempt),
            pause=_pause(work),
            poll_seconds=work.pace.poll_seconds,
            on_answer=on_answer,
            on_trouble=on_trouble,
        )
    except _Gone:
        await work.note(
            state=AttemptState.EXPIRED, ended_at=work.clock.now(), reason="Kling no longer has it."
        )
        return
    await _end(work, answer)


def _require_interest(work: Work) -> None:
    """A task that never ends does not hold one of this server's places for ever."""
    since = work.attempt.submitted_at
    if not work.wanted() and since is not None and work.clock.now() - since > UNWATCHED:
        raise StillRunning(
            "The task has not ended within a day, and nobody waits for it.", hint="Queue it again to look."
        )


def _pause(work: Work) -> Callable[[float], Awaitable[None]]:
    if work.hints is None:
        return work.clock.sleep
    return partial(pause_for_hint, work.hints, work.clock, _task_id(work.attempt))


async def _end(work: Work, answer: Answer[Task]) -> None:
    task = answer.value
    changes: dict[str, Any] = charge_columns(task, work.attempt.realm) | {
        "task_status": task.task_status,
        "vendor_created_at": task.created_at,
    }
    if task.status is TaskStatus.FAILED:
        await work.note(**changes, **failure_columns(task, work.clock.now()))
        return
    await work.note(state=AttemptState.SUCCEEDED, **changes, **link_columns(task))


def failure(attempt: Attempt) -> TaskFailed:
    """Return what those who waited for a failed attempt are told."""
    charge = f" Charge: {charge_text(attempt)}." if attempt.shows_charge else ""
    hint = (
        RETRY_HINT
        if is_input_failure(attempt.reason) or attempt.shows_charge
        else "Run it again to make another attempt; if it fails once more, change an input."
    )
    return TaskFailed(
        f"Kling reports that the task failed: {attempt.reason}{charge}", hint=hint, task_id=attempt.task_id
    )


async def collect(work: Work) -> None:
    """Bring a succeeded attempt to kept, or to expired when the vendor has cleared it.

    Raises:
        DownloadError, DiskFull, ApiError, TransportError: not now; the attempt stays succeeded and can be
            collected again.
        ResultGone: the file was deleted here, and the vendor no longer has it either.
        LeaseLost: another process took over.
    """
    try:
        await _collect(work)
    except _Gone:
        await _cleared(work)
    except KlingOnceError:
        raise
    except OSError as error:
        raise not_written(work.store, error, work.attempt.task_id) from None


async def _collect(work: Work) -> None:
    part = await asyncio.to_thread(work.store.part_path, work.label, work.ledger.owner.name)
    try:
        await _fetch(work, part)
        facts = await _verified(work, part)
        await keep(work, part, facts)
    finally:
        part.unlink(missing_ok=True)


async def _cleared(work: Work) -> None:
    """End an attempt whose video the vendor has cleared; one that was kept here may be put back by hand."""
    if work.attempt.result_path is not None:
        await work.note(state=AttemptState.KEPT)
        raise gone(work.attempt)
    await work.note(
        state=AttemptState.EXPIRED, ended_at=work.clock.now(), reason="Kling has cleared the video."
    )


def not_written(store: ResultStore, error: OSError, task_id: str | None) -> DiskFull:
    """Return what people are told when a paid result cannot be written."""
    return DiskFull(
        f"The result could not be written to {store.root}: {error.strerror or error}.",
        hint="Make room and run again: the video is paid and stays collectable.",
        task_id=task_id,
    )


async def _fetch(work: Work, part: Path) -> None:
    policy = DownloadPolicy(
        loopback_allowed=work.attempt.origin == EMBEDDED_ORIGIN or is_loopback(work.attempt.origin),
        allowed_hosts=work.settings.allow_hosts,
    )

    def on_bytes(done: int, total: int | None) -> None:
        work.say(Stage.DOWNLOAD, "downloading", done=done, total=total or 0)

    download = Download(part, policy, work.clock, on_bytes)
    for look in range(FRESH_LINKS):
        answer = await _look(work)
        video = answer.value.video
        if video is not None:
            await work.note(**link_columns(answer.value))
            work.say(Stage.DOWNLOAD, "downloading")
            try:
                await download.fetch(video.url, pause_seconds=min(1.0, work.pace.poll_seconds))
            except LinkExpired:
                if is_past_lifetime(answer.value.created_at, answer.server_time):
                    raise _Gone from None
                if look == FRESH_LINKS - 1:
                    raise
            else:
                return
        await work.clock.sleep(work.pace.poll_seconds)
    raise DownloadBroken("Kling says that the task succeeded, and names no video.", hint="Run again later.")


async def _look(work: Work) -> Answer[Task]:
    """Ask for the task anew: its links are only as old as the answer."""
    try:
        return await read_again(
            lambda: work.client.get_task(_task_id(work.attempt)),
            work.clock,
            pause_seconds=work.pace.poll_seconds,
        )
    except ApiError as error:
        if not is_absent(error):
            raise
        if is_past_lifetime(work.attempt.vendor_created_at, error.server_time):
            raise _Gone from None
        raise DownloadBroken(
            f"Kling does not know the task at the moment: {error.message}", hint="Run again later."
        ) from None


async def _verified(work: Work, part: Path) -> ClipFacts:
    try:
        return await asyncio.to_thread(probe_clip, part)
    except UnreadableMedia as error:
        raise DownloadBroken(
            f"What Kling delivered for the task is not a playable video: {error.message}",
            hint="Nothing is lost: run again to fetch it again.",
            task_id=work.attempt.task_id,
        ) from None


async def keep(work: Work, part: Path, facts: ClipFacts) -> None:
    """Move a proven video into the results folder and note it in the ledger."""
    await work.note()  # the lease is still ours
    kept = await work.store.keep(work.label, part, sidecar_of(work.attempt, work.label))
    await work.note(**kept_columns(kept, facts), ended_at=work.clock.now())
    work.say(Stage.KEPT, "kept")
    logger.info("Task %s is kept as %s.", work.attempt.task_id, kept.relative)


def sidecar_of(attempt: Attempt, label: JobLabel) -> Sidecar:
    """Return the note that lies beside an attempt's result."""
    return Sidecar(
        job_key=attempt.job_key,
        task_id=_task_id(attempt),
        external_task_id=attempt.external_id,
        service=label.service.value,
        profile=attempt.profile,
        seconds=attempt.seconds,
        units_estimated=attempt.units_estimated,
        units_charged=attempt.units_charged,
        cash_charged=attempt.cash_charged,
        currency=attempt.currency,
        vendor_created_at=attempt.vendor_created_at,
    )


class _Gone(ResultGone):
    def __init__(self) -> None:
        super().__init__("Kling no longer has the result.")


def _task_id(attempt: Attempt) -> str:
    if attempt.task_id is None:
        raise ResultGone(f"Attempt {attempt.external_id} has no task.", hint="Run the job again.")
    return attempt.task_id
