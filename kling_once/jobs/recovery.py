"""Results and tasks that exist already: on disk, at the vendor, or named by a person. Nothing here pays."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..api.limits import is_path_id
from ..api.transport import read_again
from ..errors import (
    DownloadBroken,
    InputRefused,
    JobError,
    KlingOnceError,
    LeaseLost,
    LedgerError,
    OutcomeUnknown,
    ResultGone,
    UnreadableMedia,
    Violation,
)
from ..ledger.attempts import MAX_ATTEMPTS, AttemptState
from ..ledger.job import adopted_key
from ..media.probe import probe_clip
from ..order import (
    Kind,
    Sender,
    Service,
    realm_of,
    services_off,
)
from ..results.store import sidecar_of
from ..results.workflow import embed_workflow
from .collect import not_written
from .tasks import (
    found_columns,
    if_known,
    kept_columns,
    look_up,
    of_an_element,
    place_columns,
    task_columns,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ..accounts.accounts import Account
    from ..api.models import Task
    from ..ledger.attempts import Attempt
    from ..ledger.job import Job, JobLabel
    from ..ledger.ledger import Ledger
    from ..results.store import ResultStore
    from .services import Services

logger = logging.getLogger(__name__)

VIDEO_EXISTED: Final = frozenset({AttemptState.SUCCEEDED, AttemptState.KEPT, AttemptState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that a person names."""

    name: str
    service: Service
    profile: str = ""
    project: str = ""
    """For the result, when the task is adopted."""
    by_external_id: bool | None = None
    """What `name` is: the external task id, the task id; None takes either."""
    kept_only: bool = False
    """Hand over a kept result and ask no service for anything."""


async def find_result(services: Services, job: Job) -> bool:
    """Write down a kept result whose sidecar is on disk, and tell whether there was one.

    The ledger may have lost it, or a ledger of another machine bought it into the same folder.
    """
    found = await services.results.find(job.key)
    if found is None:
        return False
    sidecar = found[1]
    sender = Sender(sidecar.profile, "")
    await services.ledger.adopt_kept(job, sender, sidecar.external_task_id, found_columns(*found))
    return True


async def find_tasks(services: Services, job: Job, account: Account) -> None:
    """Write down the attempts that the vendor has under this job's ids, of which a lost ledger knows nothing.

    The generation `standard` shows the tasks of both generations, `legacy` those of its own.

    Raises:
        ApiError, TransportError: the vendor gave no answer; nothing was submitted.
    """
    client = await services.client(account, job.order.kind)
    numbers = range(1, MAX_ATTEMPTS + 1)
    pause_seconds = services.settings.pace(client.origin).poll_seconds
    reads = (partial(look_up, client, job.external_id(number)) for number in numbers)
    answers = await asyncio.gather(
        *(read_again(read, services.clock, pause_seconds=pause_seconds) for read in reads)
    )
    found = [
        (number, account.sender, _at_vendor(job, number, answer.value, services.clock.now()))
        for number, answer in zip(numbers, answers, strict=True)
        if answer is not None
    ]
    if found:
        await services.ledger.adopt(job, found)


def _at_vendor(job: Job, number: int, task: Task, now: datetime) -> dict[str, Any]:
    if task.task_info.external_task_id != job.external_id(number):
        raise OutcomeUnknown(
            f"Kling answered for {job.external_id(number)} with a task of another name.",
            hint="Nothing was submitted. Run again.",
        )
    return task_columns(task, job.external_id(number), job.realm, now)


async def kept_attempt(services: Services, attempt: Attempt) -> Attempt | None:
    """Return an attempt as kept if its file is here, also where it was moved or put back; else None."""
    if attempt.state not in VIDEO_EXISTED:
        return None
    if attempt.made_element_id is not None:  # it lies at the vendor's, and is kept by its id
        return attempt if attempt.state is AttemptState.KEPT else None
    columns: dict[str, Any] = {"state": AttemptState.KEPT}
    if not await asyncio.to_thread(services.results.has, attempt.result_path, attempt.result_size_bytes):
        found = await services.results.find(attempt.job_key, attempt.task_id)
        if found is None:
            return None
        columns = place_columns(found[0])
    elif attempt.state is AttemptState.KEPT:
        return attempt
    try:
        return await services.ledger.keep_again(attempt, columns)
    except LedgerError as error:
        logger.warning("Task %s is here; the ledger could not note it: %s", attempt.task_id, error.message)
        return replace(attempt, **columns)


async def servable(services: Services, attempt: Attempt) -> Attempt:
    """Return an attempt as kept where its file is here, or ready to be fetched again where it is gone."""
    found = await kept_attempt(services, attempt)
    if found is not None or attempt.state is not AttemptState.KEPT:
        return found or attempt
    await services.ledger.reopen_collection(attempt)
    return await services.ledger.attempt(attempt.attempt_id)


async def named_attempt(services: Services, name: str) -> Attempt:
    """Return the attempt named by a job key, a task id or an external id.

    Raises:
        ResultGone: the ledger knows nothing of that name.
    """
    attempt = await services.ledger.find_attempt(name)
    if attempt is None:
        raise ResultGone(
            f"The ledger {services.ledger.place} knows no job or task named {name[:128]!r}.",
            hint="'kling-once jobs' lists what it knows.",
        )
    return attempt


async def wanted_attempt(services: Services, wanted: Wanted) -> Attempt:
    """Return the attempt that has a task; one that the ledger does not know is adopted.

    Raises:
        InputRefused: the id cannot be one.
        JobError: it is an element's.
        ResultGone: nobody knows it, or only tasks of the ledger may be had (KLING_ONCE_ACCOUNT_BROWSE).
        SubmissionsHeld: it is not kept here, and the service may not be asked.
        CredentialsError, ApiError, TransportError: the vendor could not be asked.
    """
    if not is_path_id(wanted.name):
        message = f"id {wanted.name[:40]!r} is not a task's id: letters, digits and _ . : - make one."
        raise InputRefused([Violation("id", "id.form", message)])
    origin = await asyncio.to_thread(services.accounts.origin, wanted.service, wanted.profile)
    realm = realm_of(wanted.service, origin)
    ledger = services.ledger
    known = await ledger.find_task(realm, wanted.name, wanted.profile, wanted.by_external_id)
    is_element = known is not None and (await ledger.label(known.job_key)).kind is Kind.ELEMENT
    if is_element or await ledger.known_elements(realm, [wanted.name]):
        raise of_an_element(wanted.name)
    if wanted.kept_only and not (known and services.results.holds(known)):
        raise services_off()
    if known is not None:
        return known
    if services.settings.account_browse == "own":
        raise ResultGone(
            f"The ledger knows no task named {wanted.name}, and only its own may be fetched.",
            hint="The operator may allow all with KLING_ONCE_ACCOUNT_BROWSE=all.",
        )
    account = await services.account(wanted.service, wanted.profile)
    task = await _task(services, wanted, account)
    if task.element is not None:
        raise of_an_element(wanted.name)
    columns = task_columns(task, wanted.name, realm, services.clock.now())
    known = await ledger.find_task(realm, columns["task_id"], wanted.profile, by_external_id=False)
    if known is not None:
        return known
    return await ledger.adopt_task(
        adopted_key(realm, columns["task_id"]),
        realm,
        origin,
        wanted.service,
        wanted.project,
        account.sender,
        columns,
    )


async def _task(services: Services, wanted: Wanted, account: Account) -> Task:
    client = await services.client(account)
    pause_seconds = services.settings.pace(client.origin).poll_seconds
    answer = await read_again(
        lambda: if_known(client, client.get(wanted.name)),
        services.clock,
        pause_seconds=min(1.0, pause_seconds),
    )
    if answer is not None:
        task = answer.value
        by_id, by_external = {task.task_id}, {task.task_info.external_task_id}
        names = {False: by_id, True: by_external, None: by_id | by_external}
        if wanted.name in names[wanted.by_external_id]:
            return task
    kinds = {True: "external task id", False: "task id", None: "id"}
    raise ResultGone(
        f"Neither the ledger nor this {wanted.service.value} account knows a motion-control task whose"
        f" {kinds[wanted.by_external_id]} is {wanted.name}.",
        hint="Check the id, which kind of id it is, the service and the profile."
        " Kling keeps results for 30 days.",
    )


async def carry_over(services: Services, profile: str) -> int:
    """Collect a profile's tasks with its new key from now on, where that is of the same account.

    Kling is asked for tasks of each key that was replaced until it knows one, which is free: an account knows
    only its own.

    Returns:
        How many attempts changed hands.

    Raises:
        CredentialsError, ApiError, TransportError: the new key could not be tried.
    """
    account = await services.account(Service.KLING, profile)
    carried = 0
    keys = await services.ledger.tasks_of_keys(account.origin, profile)
    for (old, generation), tasks in keys.items():
        if old == account.fingerprint:
            continue
        client = await services.client(replace(account, generation=generation))
        for task in tasks:
            if await if_known(client, client.get(task)) is not None:
                carried += await services.ledger.use_key(account.origin, profile, old, account.fingerprint)
                break
    return carried


async def keep_given_file(services: Services, attempt: Attempt, label: JobLabel, path: Path) -> Attempt:
    """Keep a copy of a file that the user fetched as an attempt's result.

    Raises:
        JobError: the attempt has no task, failed, or already has its result.
        DownloadBroken: the file is not a video.
        LeaseLost: another process works on the attempt.
    """
    attempt = await servable(services, attempt)
    if label.kind is Kind.ELEMENT:
        raise JobError(f"Job {attempt.job_key[:10]} makes an element, and no video.", task_id=attempt.task_id)
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
    ledger, results = services.ledger, services.results
    claimed = await ledger.claim(attempt)
    if claimed is None:
        raise LeaseLost("Another process works on this job.", hint="Stop it, or wait for it.")
    try:
        part = await asyncio.to_thread(results.part_path, label, ledger.owner.name)
        await asyncio.to_thread(shutil.copyfile, path, part)
        await embed_workflow(services.settings, ledger, label.key, None, part)
        kept = await results.keep(label, part, sidecar_of(claimed, label))
        return await ledger.change(claimed, **kept_columns(kept, facts), ended_at=services.clock.now())
    except KlingOnceError:
        raise
    except OSError as error:
        raise not_written(results, error, claimed.task_id) from None
    finally:
        await ledger.release(claimed)


async def forget(ledger: Ledger, results: ResultStore, job_key: str, *, delete_file: bool) -> list[str]:
    """Hide a job from lists and delete its files on demand; ids, key and charge stay.

    Returns:
        The files that were deleted, relative to the results folder.

    Raises:
        ResultGone: the ledger knows no such job.
        JobError: the job is under way.
    """
    known = await ledger.hide(job_key)
    if not delete_file:
        return []
    return [name for attempt in known for name in await asyncio.to_thread(results.forget, attempt)]
