"""A ledger may be lost, or an old copy: look for results on disk and tasks at the vendor before buying."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ..api.retry import read_again
from ..errors import OutcomeUnknown
from ..ledger.attempts import MAX_ATTEMPTS
from ..order import Sender
from .columns import found_columns, task_columns
from .work import look_up

if TYPE_CHECKING:
    from datetime import datetime

    from ..accounts.accounts import Account
    from ..api.client import KlingClient
    from ..api.models import Task
    from ..clock import Clock
    from ..ledger.job import Job
    from ..ledger.ledger import Ledger
    from .results import ResultStore


async def remember_result(job: Job, store: ResultStore, ledger: Ledger) -> bool:
    """Write down a kept result whose sidecar is on disk; tell whether there was one, which is served now.

    The ledger may have lost it, or a ledger of another machine bought it into the same folder.
    """
    found = await asyncio.to_thread(store.find_kept, job.key)
    if found is None:
        return False
    sidecar = found[1]
    await ledger.adopt_kept(
        job,
        Sender(sidecar.profile, ""),
        sidecar.external_task_id,
        found_columns(*found),
    )
    return True


async def remember_tasks(
    job: Job, account: Account, client: KlingClient, ledger: Ledger, clock: Clock, *, pause_seconds: float
) -> None:
    """Write down the attempts that the vendor has under this job's ids.

    Raises:
        ApiError, TransportError: the vendor gave no answer; nothing was submitted.
    """
    numbers = range(1, MAX_ATTEMPTS + 1)
    reads = (partial(look_up, client, job.external_id(number)) for number in numbers)
    answers = await asyncio.gather(*(read_again(read, clock, pause_seconds=pause_seconds) for read in reads))
    found = [
        (number, account.sender, _at_vendor(job, number, answer.value, clock.now()))
        for number, answer in zip(numbers, answers, strict=True)
        if answer is not None
    ]
    if found:
        await ledger.adopt(job, found)


def _at_vendor(job: Job, number: int, task: Task, now: datetime) -> dict[str, Any]:
    if task.task_info.external_task_id != job.external_id(number):
        raise OutcomeUnknown(
            f"Kling answered for {job.external_id(number)} with a task of another name.",
            hint="Nothing was submitted. Run again.",
        )
    return task_columns(task, job.realm, now)
