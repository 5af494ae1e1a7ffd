"""Hide a job from lists, and delete its files where somebody asks for that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ledger.attempts import Attempt
    from ..ledger.ledger import Ledger
    from .results import ResultStore


async def forget(ledger: Ledger, store: ResultStore, job_key: str, *, delete_file: bool) -> list[str]:
    """Hide a job; return the files that were deleted, relative to the results folder.

    Raises:
        ResultGone: the ledger knows no such job.
        JobError: the job is under way.
    """
    known = await ledger.hide(job_key)
    return await asyncio.to_thread(_delete_all, store, known) if delete_file else []


def _delete_all(store: ResultStore, known: list[Attempt]) -> list[str]:
    return [name for attempt in known if attempt.result_path for name in _delete(store, attempt.result_path)]


def _delete(store: ResultStore, relative: str) -> list[str]:
    root = store.root.resolve()
    video = store.path(relative)
    gone = []
    for path in (video, video.with_suffix(".json")):
        real = path.resolve()
        if real.is_relative_to(root) and real.is_file():
            real.unlink()
            gone.append(real.relative_to(root).as_posix())
    return gone
