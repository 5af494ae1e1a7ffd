"""Find the attempt that a person names, and keep a file that they fetched themselves as its result."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from ..errors import (
    DownloadBroken,
    JobError,
    KlingOnceError,
    LeaseLost,
    ResultGone,
    UnreadableMedia,
)
from ..ledger.attempts import AttemptState
from ..media.probe import probe_clip
from .collect import not_written, sidecar_of
from .columns import kept_columns

if TYPE_CHECKING:
    from pathlib import Path

    from ..ledger.attempts import Attempt
    from ..ledger.job import JobLabel
    from .desk import Desk


async def attempt_to_collect(desk: Desk, name: str) -> Attempt:
    """Return the attempt named by a job key, a task id or an external id.

    Raises:
        ResultGone: the ledger knows nothing of that name.
    """
    attempt = await desk.ledger.find_attempt(name)
    if attempt is None:
        raise ResultGone(
            f"The ledger {desk.ledger.path} knows no job or task named {name[:128]!r}.",
            hint="'kling-once jobs' lists what it knows.",
        )
    return attempt


async def keep_given_file(desk: Desk, attempt: Attempt, label: JobLabel, path: Path) -> Attempt:
    """Keep a copy of a file that the user fetched as an attempt's result.

    Raises:
        JobError: the attempt has no task, failed, or already has its result.
        DownloadBroken: the file is not a video.
        LeaseLost: another process works on the attempt.
    """
    attempt = await desk.served(attempt)
    problem = {
        AttemptState.KEPT: "has its result already.",
        AttemptState.FAILED: f"failed and has no result: {attempt.reason}",
    }.get(attempt.state, "" if attempt.task_id else "has no task.")
    if problem:
        raise JobError(f"Job {attempt.job_key[:10]} {problem}", task_id=attempt.task_id)
    try:
        facts = await asyncio.to_thread(probe_clip, path)
    except UnreadableMedia as error:
        raise DownloadBroken(error.message, hint="Give the file that Kling's page plays.") from None
    claimed = await desk.ledger.claim(attempt)
    if claimed is None:
        raise LeaseLost("Another process works on this job.", hint="Stop it, or wait for it.")
    try:
        part = await asyncio.to_thread(desk.store.part_path, label, desk.ledger.owner.name)
        await asyncio.to_thread(shutil.copyfile, path, part)
        kept = await desk.store.keep(label, part, sidecar_of(claimed, label))
        return await desk.ledger.change(claimed, **kept_columns(kept, facts), ended_at=desk.clock.now())
    except KlingOnceError:
        raise
    except OSError as error:
        raise not_written(desk.store, error, claimed.task_id) from None
    finally:
        await desk.ledger.release(claimed)
