"""Send the one create of an attempt, and never a second one while the first may have counted."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from ..api.retry import read_again
from ..errors import (
    AnswerLost,
    ApiError,
    Busy,
    ExternalIdTaken,
    InvalidValue,
    LedgerError,
    NeverSent,
    OutcomeUnknown,
    ServerFault,
    TransportError,
    UnreadableAnswer,
)
from ..ledger.attempts import AttemptState
from .columns import found_columns
from .progress import Stage
from .work import (
    NobodyWaits,
    Work,
    is_ours,
    look_up,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..api.models import Answer, CreateRequest, Task
    from .tickets import Place

logger = logging.getLogger(__name__)

CONNECT_ATTEMPTS: Final = 3
LOOK_SECONDS: Final = 0.2


async def submit(work: Work) -> None:
    """Bring an intent to submitted, unknown or rejected; or to kept, where the result turns up meanwhile.

    Raises:
        NobodyWaits: everybody let go; nothing was sent.
        SubmissionsHeld: live submissions are on hold; nothing was sent.
        LedgerTooNew: a newer version wrote the ledger; nothing was sent.
        NeverSent, HostingError, CredentialsError: nothing was sent; the intent stays for another time.
        ApiError: the vendor refused; where an earlier create may have made a task, the attempt is unknown.
        LeaseLost: another process took over before the create.
    """
    with work.line.place() as place:
        refused_connections = 0
        while work.attempt.state is AttemptState.INTENT:
            work.say(Stage.QUEUE, "waiting for a place")
            await _turn(work, place)
            if await _take_kept(work):
                return
            try:
                if await _adopt_existing(work):
                    return
            except Busy as error:
                await _full(work, place, error)
                continue
            try:
                await _post(work)
            except Busy as error:
                await _never_counted(work)
                await _full(work, place, error)
            except NeverSent:
                await _never_counted(work)
                refused_connections += 1
                if refused_connections >= CONNECT_ATTEMPTS:
                    raise
                await work.clock.sleep(work.pace.poll_seconds)


async def _never_counted(work: Work) -> None:
    work.posted = False
    await work.change(posted_at=None, posts=work.attempt.posts - 1)


async def _full(work: Work, place: Place, error: Busy) -> None:
    work.say(Stage.QUEUE, f"the account is full ({error.code}); waiting for a place")
    await place.refused(min(1.0, work.pace.poll_seconds))


async def _turn(work: Work, place: Place) -> None:
    await place.turn(look_seconds=1.0)
    _require_wanted(work)


def _require_wanted(work: Work) -> None:
    if not work.wanted():
        raise NobodyWaits("Nothing was submitted: nobody waits for this video any more.")


async def _while_wanted(work: Work, forming: Coroutine[Any, Any, CreateRequest]) -> CreateRequest:
    """Form a create; an upload may take minutes, and is called off when nobody waits for it."""
    task = asyncio.create_task(forming)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            _require_wanted(work)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # marks it as seen


async def _take_kept(work: Work) -> bool:
    """Look for a result that another ledger has kept in the same folder while this one waited."""
    found = await asyncio.to_thread(work.store.find_kept, work.label.key)
    if found is None:
        return False
    await work.change(**found_columns(*found), units_reserved=None)
    return True


async def _adopt_existing(work: Work) -> bool:
    """Look for the task before making it: that is free, and a second one is not."""
    found = await read_again(
        lambda: look_up(work.client, work.attempt.external_id),
        work.clock,
        pause_seconds=work.pace.poll_seconds,
    )
    if found is None:
        return False
    if not is_ours(found.value, work.attempt):
        raise OutcomeUnknown(
            f"Kling answered for {work.attempt.external_id} with a task of another name.",
            hint="Nothing was submitted. Run again.",
        )
    if work.attempt.own_external_id and not work.attempt.posts:
        raise ExternalIdTaken(
            f"Your account has a task named {work.attempt.external_id!r} that this ledger did not make.",
            hint="Nothing was submitted. Collect that task by its id, or give another external_task_id.",
            task_id=found.value.task_id,
        )
    await work.adopt(found.value)
    return True


async def _post(work: Work) -> None:
    if work.sending is None:
        raise OutcomeUnknown(
            "This job was written down, but nothing was ever submitted for it.",
            hint="Run it again with its picture and clip.",
        )
    work.ledger.require_writable()
    sending = await work.sending()
    request = await _while_wanted(
        work,
        sending.request(work.attempt.external_id, lambda location: work.change(location=location)),
    )
    _require_wanted(work)
    await work.ledger.require_released(work.label.service)
    work.say(Stage.SUBMIT, "submitting")
    await work.post()
    try:
        answer = await work.client.create(request)
    except (Busy, NeverSent):
        raise
    except (AnswerLost, UnreadableAnswer, ServerFault) as error:
        logger.warning("The answer to a create is lost: %s", error.message)
        await work.change(state=AttemptState.UNKNOWN, unknown_since=work.clock.now())
    except ApiError as error:
        await _refused(work, error)
    else:
        await _accepted(work, answer)


async def _accepted(work: Work, answer: Answer[Task]) -> None:
    """Name the task also where it cannot be written down: without its id it would be hard to find."""
    try:
        await work.adopt(answer.value)
    except LedgerError as error:
        error.task_id = answer.value.task_id
        logger.error("Task %s was accepted, and could not be written down.", error.task_id)  # noqa: TRY400 - raised again
        raise


async def _refused(work: Work, error: ApiError) -> None:
    """End an attempt whose create was refused, unless its id has a task all the same.

    1201 may mean that the id exists already: found means that the task is ours. And the task of an
    earlier create whose answer was lost may show late: "not found" proves nothing then, and the attempt
    stays unknown, with its units reserved.
    """
    is_first = work.attempt.posts == 1
    if is_first and not isinstance(error, InvalidValue):
        await work.reject(error)
        raise error
    try:
        found = await look_up(work.client, work.attempt.external_id)
    except (ApiError, TransportError):
        found = None
        is_clear = False
    else:
        is_clear = is_first
    if found is not None and is_ours(found.value, work.attempt):
        await work.adopt(found.value)
        return
    if is_clear:
        await work.reject(error)
        raise error
    unknown = {"state": AttemptState.UNKNOWN, "unknown_since": work.clock.now()}
    if isinstance(error, InvalidValue):
        await work.change(**unknown)
        return
    refusal = {"posts": work.attempt.posts - 1, "reason": error.message, "reason_code": error.code}
    await work.change(**unknown, **refusal)
    raise error
