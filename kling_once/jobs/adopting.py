"""Find the task that a person names by one of its ids; one that the ledger does not know is adopted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from blake3 import blake3

from ..api.limits import is_path_id
from ..api.retry import read_again
from ..errors import (
    InputRefused,
    ResultGone,
    Violation,
)
from ..ledger.attempts import Attempt, AttemptState, attempt_of
from ..ledger.job import Job
from ..ledger.tables import attempts
from ..order import MotionControl, Order, Service, VideoFile, realm_of, services_off
from .columns import task_columns
from .work import look_up

if TYPE_CHECKING:
    from ..api.models import Task
    from ..ledger.database import Database
    from .desk import Desk

KEY_VERSION: Final = "t1"
"""Of the key of a job that is known by its task alone."""


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


async def wanted_attempt(desk: Desk, wanted: Wanted) -> Attempt:
    """Return the attempt that has the task.

    Raises:
        InputRefused: the id cannot be one.
        ResultGone: nobody knows it, or only tasks of the ledger may be had (KLING_ONCE_ACCOUNT_BROWSE).
        SubmissionsHeld: it is not kept here, and the service may not be asked.
        CredentialsError, ApiError, TransportError: the vendor could not be asked.
    """
    if not is_path_id(wanted.name):
        message = f"id {wanted.name[:40]!r} is not a task's id: letters, digits and _ . : - make one."
        raise InputRefused([Violation("id", "id.form", message)])
    origin = await asyncio.to_thread(desk.accounts.origin, wanted.service, wanted.profile)
    realm = realm_of(wanted.service, origin)
    known = await asyncio.to_thread(_known, desk.ledger.database, realm, wanted)
    if wanted.kept_only and not _is_here(desk, known):
        raise services_off()
    if known is not None:
        return known
    if desk.settings.account_browse == "own":
        raise ResultGone(
            f"The ledger knows no task named {wanted.name}, and only its own may be fetched.",
            hint="The operator may allow all with KLING_ONCE_ACCOUNT_BROWSE=all.",
        )
    task = await _task(desk, wanted)
    same = Wanted(task.task_id, wanted.service, by_external_id=False)
    return await asyncio.to_thread(_known, desk.ledger.database, realm, same) or await _adopted(
        desk, wanted, task, realm, origin
    )


def adopted_key(realm: str, task_id: str) -> str:
    """Return the job key of a task that was adopted: `t1` and 64 hex digits."""
    return KEY_VERSION + blake3(f"{realm} {task_id}".encode()).hexdigest()


def _known(database: Database, realm: str, wanted: Wanted) -> Attempt | None:
    by_id = attempts.c.task_id == wanted.name
    by_external = sa.and_(attempts.c.external_id == wanted.name, attempts.c.profile == wanted.profile)
    named = {True: by_external, False: by_id, None: sa.or_(by_id, by_external)}[wanted.by_external_id]
    query = sa.select(attempts).where(attempts.c.realm == realm, attempts.c.task_id.is_not(None), named)
    with database.read() as connection:
        row = connection.execute(query.order_by(attempts.c.attempt_id.desc()).limit(1)).one_or_none()
    return attempt_of(row) if row else None


def _is_here(desk: Desk, known: Attempt | None) -> bool:
    if known is None or known.state is not AttemptState.KEPT:
        return False
    return desk.store.has(known.result_path, known.result_size_bytes)


async def _task(desk: Desk, wanted: Wanted) -> Task:
    account = await asyncio.to_thread(desk.accounts.account, wanted.service, wanted.profile)
    client = await desk.connections.client(account)
    pause_seconds = desk.settings.pace(client.origin).poll_seconds
    answer = await read_again(
        lambda: look_up(client, wanted.name), desk.clock, pause_seconds=min(1.0, pause_seconds)
    )
    if answer is not None:
        task = answer.value
        names = {False: {task.task_id}, True: {task.task_info.external_task_id}}
        if wanted.name in names.get(bool(wanted.by_external_id), set()) or wanted.by_external_id is None:
            return task
    kinds = {True: "external task id", False: "task id", None: "id"}
    raise ResultGone(
        f"Neither the ledger nor this {wanted.service.value} account knows a motion-control task whose"
        f" {kinds[wanted.by_external_id]} is {wanted.name}.",
        hint="Check the id, which kind of id it is, the service and the profile."
        " Kling keeps results for 30 days.",
    )


async def _adopted(desk: Desk, wanted: Wanted, task: Task, realm: str, origin: str) -> Attempt:
    """Write a foreign task down as a job of its own; nothing is ever submitted for it."""
    account = await asyncio.to_thread(desk.accounts.account, wanted.service, wanted.profile)
    order = Order(
        image=b"",
        video=VideoFile(Path()),
        motion=MotionControl(model="", mode="", character_orientation=""),
        service=wanted.service,
        project=wanted.project,
        profile=wanted.profile,
        image_name="task",
        video_name=task.task_id,
    )
    key = adopted_key(realm, task.task_id)
    job = Job(key, realm, origin, "", "", order)
    changes = task_columns(task, realm, desk.clock.now())
    changes["external_id"] = task.task_id  # ours and the user's own ids stay free for the jobs they name
    await asyncio.to_thread(partial(desk.ledger.adopt, job, [(1, account.sender, changes)]))
    return (await asyncio.to_thread(desk.ledger.attempts_of, key))[-1]
