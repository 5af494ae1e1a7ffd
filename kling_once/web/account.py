"""The account: the keys to it, which go in and never come out, and its own tasks."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from ..accounts.keyring import (
    ENVIRONMENT_NAMES,
    PROFILE_NAME,
    PROFILE_NAME_FORM,
    NewKey,
    forget_key,
    key_states,
    save_key,
)
from ..api.limits import PAGE_MAX, PAGE_SIZE_MAX, PATH_ID
from ..errors import KlingOnceError, LedgerError
from ..jobs.recovery import Wanted
from ..order import Service
from .answers import Answer, TaskAnswer, Told
from .endpoint import (
    Call,
    Given,
    Nothing,
    Who,
    WithCode,
    endpoint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from ..accounts.keyring import KeyState
    from ..jobs.outcome import Outcome
    from ..jobs.progress import Progress

PACKS_SPAN: Final = timedelta(days=30)
ADOPTING_SECONDS: Final = 20.0
"""After which the page is answered although the task's own news are still to come."""
STATES: Final = {
    "environment": "configured, from environment",
    "file": "configured, from file",
    "missing": "missing",
}


def _profile_name(text: str) -> str:
    if not PROFILE_NAME.fullmatch(text):
        raise ValueError(PROFILE_NAME_FORM)
    return text


Profile = Annotated[
    str, AfterValidator(_profile_name), Field(json_schema_extra={"pattern": f"^({PROFILE_NAME.pattern})$"})
]
Secret = Annotated[SecretStr, Field(max_length=512)]


class SaveKeyBody(WithCode):
    """A key to be stored on the server. It is never answered."""

    profile: Profile = ""
    region: str = Field("", pattern="^(global|china)?$")
    """Empty leaves it as it is; without one it is global."""
    api: Literal["", "legacy", "standard"] = ""
    """Which of the vendor's two APIs gets new tasks; empty leaves it as it is."""
    api_key: Secret = SecretStr("")
    access_key: Secret = SecretStr("")
    secret_key: Secret = SecretStr("")
    replace: bool = Field(default=False, strict=True)


class ProfileBody(Given):
    """One profile."""

    profile: Profile = ""


class ForgetKeyBody(WithCode):
    """A profile whose key is to be removed from the file."""

    profile: Profile = ""


class KeyAnswer(Answer):
    """What anybody may learn of a profile's key."""

    profile: str
    state: str
    """In words."""
    source: Literal["environment", "file", "missing"]
    region: str | None
    address: str | None
    """The origin that the key is sent to."""
    api: str | None
    """Which of the vendor's two APIs gets new tasks."""
    problem: Told | None
    """Why the key cannot be used, in words."""
    unfinished: int
    """How many paid tasks wait to be collected with this key."""


class Keys(Answer):
    """Every profile."""

    profiles: list[KeyAnswer]
    may_change: bool
    """This page may change keys without a code."""
    variables: str
    """The environment's names for a key."""
    has_address: bool
    """The server names an address of its own, at which the default profile is used unless it has a region."""


class PackAnswer(Answer):
    """A prepaid pack of units."""

    name: str
    left: float | None
    of: float | None
    until: str | None
    """A date."""


class KeyWorks(Answer):
    """What an account said, which proves that its key is good."""

    ok: Literal[True] = True
    packs: list[PackAnswer]


class AccountQuery(Given):
    """A page of an account's tasks."""

    service: Service = Service.SANDBOX
    profile: Profile = ""
    page: int = Field(1, ge=1, le=PAGE_MAX)
    page_size: int = Field(30, ge=1, le=PAGE_SIZE_MAX)


class AccountTask(TaskAnswer):
    """One of the account's tasks, without its links, and the ledger's job for it."""

    job_key: str | None


class AccountTasks(Answer):
    """A page of an account's tasks, newest first."""

    page: int
    page_size: int
    browse: Literal["own", "all"]
    tasks: list[AccountTask]
    is_last: bool


class AdoptBody(Given):
    """A task of the account that is to be collected."""

    service: Service
    task_id: str = Field(pattern=f"^{PATH_ID.pattern}$")
    profile: Profile = ""
    project: str = Field("", max_length=200)


class Adopting(Answer):
    """A task whose collecting has begun."""

    task_id: str
    collecting: Literal[True] = True


@endpoint("GET", "/keys", answer=Keys)
async def keys(call: Call[Nothing, Any]) -> Keys:
    """Tell which profiles have a key, and where it comes from."""
    states = await asyncio.to_thread(key_states, call.engine.settings)
    unfinished = await _unfinished(call)
    return Keys(
        profiles=[_key(state, unfinished) for state in states],
        may_change=call.looks_local,
        variables=ENVIRONMENT_NAMES,
        has_address=call.engine.settings.klingai_base_url is not None,
    )


@endpoint("POST", "/keys", body=SaveKeyBody, answer=KeyAnswer, who=Who.LOCAL)
async def save_a_key(call: Call[Nothing, SaveKeyBody]) -> KeyAnswer:
    """Store a key on the server."""
    given = call.given
    key = NewKey(
        region=given.region,
        api=given.api,
        api_key=given.api_key.get_secret_value(),
        access_key=given.access_key.get_secret_value(),
        secret_key=given.secret_key.get_secret_value(),
    )
    save = partial(save_key, call.engine.settings, given.profile, key, replace=given.replace)
    return _key(await asyncio.to_thread(save), await _unfinished(call))


@endpoint("POST", "/keys/test", body=ProfileBody, answer=KeyWorks)
async def try_a_key(call: Call[Nothing, ProfileBody]) -> KeyWorks:
    """Ask the account with a key; free."""
    call.require_service(Service.KLING)
    packs = await asyncio.wrap_future(call.engine.packs(Service.KLING, call.given.profile, PACKS_SPAN))
    return KeyWorks.model_validate(
        {
            "packs": [
                {
                    "name": pack.resource_pack_name,
                    "left": pack.remaining_quantity,
                    "of": pack.total_quantity,
                    "until": pack.invalid_time.date().isoformat() if pack.invalid_time else None,
                }
                for pack in packs
                if pack.status == "online"
            ]
        }
    )


@endpoint("POST", "/keys/forget", body=ForgetKeyBody, answer=Keys, who=Who.LOCAL)
async def forget_a_key(call: Call[Nothing, ForgetKeyBody]) -> Keys:
    """Remove a key."""
    await asyncio.to_thread(forget_key, call.engine.settings, call.given.profile)
    return await keys.handler(call)


@endpoint("GET", "/account", query=AccountQuery, answer=AccountTasks)
async def account(call: Call[Nothing, AccountQuery]) -> AccountTasks:
    """List a page of the account's tasks, without links."""
    wanted, engine = call.given, call.engine
    call.require_service(wanted.service)
    listed = await asyncio.wrap_future(
        engine.list_tasks(wanted.service, wanted.profile, wanted.page, wanted.page_size)
    )
    known = await (await engine.ledger()).known_tasks([task.task_id for task in listed.tasks])
    return AccountTasks(
        page=wanted.page,
        page_size=wanted.page_size,
        browse=engine.settings.account_browse,
        tasks=[AccountTask.of(task, job_key=known.get(task.task_id)) for task in listed.tasks],
        is_last=listed.is_last,
    )


@endpoint("POST", "/account/adopt", body=AdoptBody, answer=Adopting, status=HTTPStatus.ACCEPTED)
async def adopt(call: Call[Nothing, AdoptBody]) -> Adopting:
    """Collect a task of the account.

    The answer comes once the task is known to exist. What goes wrong later is told in the list of jobs.
    """
    wanted, engine = call.given, call.engine
    loop, is_known = asyncio.get_running_loop(), asyncio.Event()
    job_keys: list[str] = []

    def hear(news: Progress) -> None:
        job_keys[:] = [news.job_key]
        loop.call_soon_threadsafe(is_known.set)

    def end(ended: Future[Outcome]) -> None:
        for job_key in job_keys:
            call.app.troubles.note_end(engine, job_key, ended)
        with contextlib.suppress(RuntimeError):  # the server has closed its loop: nobody waits
            loop.call_soon_threadsafe(is_known.set)

    task = Wanted(
        wanted.task_id,
        by_external_id=False,
        service=wanted.service,
        profile=wanted.profile,
        project=wanted.project,
        kept_only=call.app.host.is_off(wanted.service),
    )
    future = engine.fetch(task, hear)
    future.add_done_callback(end)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(is_known.wait(), ADOPTING_SECONDS)
    error = future.exception() if future.done() and not future.cancelled() else None
    if isinstance(error, KlingOnceError):
        raise error
    return Adopting(task_id=wanted.task_id)


def _key(state: KeyState, unfinished: Mapping[str, int]) -> KeyAnswer:
    return KeyAnswer(
        profile=state.profile,
        state=STATES[state.source],
        source=state.source,
        region=state.region or None,
        address=state.address or None,
        api=state.api or None,
        problem=Told.of(state.problem) if state.problem else None,
        unfinished=unfinished.get(state.profile, 0),
    )


async def _unfinished(call: Call[Any, Any]) -> Mapping[str, int]:
    """Return how many tasks wait for which profile's key."""
    try:
        return await (await call.engine.ledger()).unfinished_tasks()
    except LedgerError:  # keys lie in a file of their own, and can be changed without the ledger
        return {}
