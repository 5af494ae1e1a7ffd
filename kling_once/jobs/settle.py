"""Find out what became of a create whose answer was lost."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..errors import (
    ApiError,
    KlingOnceError,
    OutcomeUnknown,
    TransportError,
)
from ..ledger.attempts import AttemptState
from ..ledger.decision import MODERATION_CODES, again_failed
from .progress import Stage
from .work import Work, is_ours, look_up

if TYPE_CHECKING:
    from ..api.models import Task

logger = logging.getLogger(__name__)

MAX_POSTS: Final = 3
"""The first create of an attempt, and two more after it was proven absent."""
LIST_PAGE_SIZE: Final = 100
CLEAR_LOOKS: Final = 3
"""How many looks in a row must say that there is no such task before it counts as absent."""


async def settle(work: Work) -> None:
    """Bring an unknown attempt to submitted, or back to intent once its task is proven absent.

    That is: the time of settling is over, the last three looks in a row, a poll apart, said that there is
    no such task, and the list does not show it either. One that Kling's moderation has refused since is
    rejected then, instead of sent again.

    Raises:
        OutcomeUnknown: the vendor gave no clear answer; the attempt stays unknown and is settled again
            when the job is queued again.
        TaskFailed: Kling's moderation had refused it.
        LeaseLost: another process took over.
    """
    work.say(Stage.SETTLE, "the answer was lost; looking for the task")
    task, doubt = await _look_until_clear(work)
    if task is None and doubt is None:
        task, doubt = await _look_in_list(work)
    if task is not None:
        await work.adopt(task)
        return
    if doubt is None and work.attempt.reason_code in MODERATION_CODES:
        await work.change(state=AttemptState.REJECTED, ended_at=work.clock.now(), units_reserved=None)
        raise again_failed(work.attempt, "was refused")
    _refuse_to_guess(work, doubt)
    logger.info("No task was made for %s; it is sent once more.", work.attempt.external_id)
    await work.change(
        state=AttemptState.INTENT, posted_at=None, unknown_since=None, reason=None, reason_code=None
    )


async def _look_until_clear(work: Work) -> tuple[Task | None, KlingOnceError | None]:
    """Look until the task shows, or its absence is clear; after the time of settling one doubt ends it.

    A settling that is resumed late has no time left, and still takes as many looks.
    """
    until = work.clock.monotonic() + _patience(work)
    clear_looks = 0
    while True:
        task, doubt = await _look(work)
        clear_looks = 0 if doubt else clear_looks + 1
        left = until - work.clock.monotonic()
        if task is not None or (left <= 0 and (doubt or clear_looks >= CLEAR_LOOKS)):
            return task, doubt
        await work.clock.sleep(min(work.pace.poll_seconds, left) if left > 0 else work.pace.poll_seconds)


def _patience(work: Work) -> float:
    """Return how many seconds the task is still looked for; a wall clock that is set cannot add to them."""
    since = work.attempt.unknown_since or work.clock.now()
    waited = (work.clock.now() - since).total_seconds()
    return work.pace.settle_seconds - max(waited, 0.0)


async def _look(work: Work) -> tuple[Task | None, KlingOnceError | None]:
    """Return the task, or None and, where the vendor gave no answer, why."""
    try:
        found = await look_up(work.client, work.attempt.external_id)
    except (ApiError, TransportError) as error:
        return None, error
    if found is None:
        return None, None
    if not is_ours(found.value, work.attempt):
        return None, OutcomeUnknown("Kling answered with a task of another name.")
    return found.value, None


async def _look_in_list(work: Work) -> tuple[Task | None, KlingOnceError | None]:
    try:
        page = await work.client.list(1, LIST_PAGE_SIZE)
    except (ApiError, TransportError) as error:
        return None, error
    return next((task for task in page.value if is_ours(task, work.attempt)), None), None


def _refuse_to_guess(work: Work, doubt: KlingOnceError | None) -> None:
    hint = "Nothing more was submitted. Run it again later: it is looked for first, and never bought twice."
    if doubt is not None:
        raise OutcomeUnknown(
            f"It is not known whether Kling accepted {work.attempt.external_id}: {doubt.message}", hint=hint
        )
    if work.attempt.posts >= MAX_POSTS:
        raise OutcomeUnknown(
            f"{work.attempt.external_id} was sent {work.attempt.posts} times; every answer was lost,"
            " and Kling knows no such task.",
            hint=hint,
        )
