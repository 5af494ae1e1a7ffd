"""Find out what became of a create whose answer was lost."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..api.service_codes import is_final
from ..errors import (
    ApiError,
    KlingOnceError,
    OutcomeUnknown,
    TransportError,
)
from ..ledger.attempts import AttemptState
from ..ledger.decision import again_failed
from .progress import Stage
from .tasks import is_ours, look_up

if TYPE_CHECKING:
    from ..api.models import Task
    from .run import Run

logger = logging.getLogger(__name__)

MAX_POSTS: Final = 3
"""The first create of an attempt, and two more after it was proven absent."""
LIST_PAGE_SIZE: Final = 100
CLEAR_LOOKS: Final = 3
"""How many looks in a row must say that there is no such task before it counts as absent."""


async def settle(run: Run) -> None:
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
    run.say(Stage.SETTLE, "the answer was lost; looking for the task")
    task, doubt = await _look_until_clear(run)
    if task is None and doubt is None:
        task, doubt = await _look_in_list(run)
    if task is not None:
        await run.adopt(task)
        return
    if doubt is None and is_final(run.attempt.reason_code, run.attempt.reason):
        await run.change(state=AttemptState.REJECTED, ended_at=run.services.clock.now(), units_reserved=None)
        raise again_failed(run.attempt, "was refused")
    _refuse_to_guess(run, doubt)
    logger.info("No task was made for %s; it is sent once more.", run.attempt.external_id)
    await run.change(
        state=AttemptState.INTENT, posted_at=None, unknown_since=None, reason=None, reason_code=None
    )


async def _look_until_clear(run: Run) -> tuple[Task | None, KlingOnceError | None]:
    """Look until the task shows, or its absence is clear; after the time of settling one doubt ends it.

    Resumed after the deadline, it still needs three clear looks: answers that say "no such task".
    """
    until = run.services.clock.monotonic() + _patience(run)
    clear_looks = 0
    while True:
        task, doubt = await _look(run)
        clear_looks = 0 if doubt else clear_looks + 1
        left = until - run.services.clock.monotonic()
        if task is not None or (left <= 0 and (doubt or clear_looks >= CLEAR_LOOKS)):
            return task, doubt
        await run.services.clock.sleep(
            min(run.pace.poll_seconds, left) if left > 0 else run.pace.poll_seconds
        )


def _patience(run: Run) -> float:
    """Return how many seconds the task is still looked for; a wall clock that is set cannot add to them."""
    since = run.attempt.unknown_since or run.services.clock.now()
    waited = (run.services.clock.now() - since).total_seconds()
    return run.pace.settle_seconds - max(waited, 0.0)


async def _look(run: Run) -> tuple[Task | None, KlingOnceError | None]:
    """Return the task, or None and, where the vendor gave no answer, why."""
    try:
        found = await look_up(run.client, run.attempt.external_id)
    except (ApiError, TransportError) as error:
        return None, error
    if found is None:
        return None, None
    if not is_ours(found.value, run.attempt):
        return None, OutcomeUnknown("Kling answered with a task of another name.")
    return found.value, None


async def _look_in_list(run: Run) -> tuple[Task | None, KlingOnceError | None]:
    try:
        page = await run.client.list(1, LIST_PAGE_SIZE)
    except (ApiError, TransportError) as error:
        return None, error
    return next((task for task in page.value if is_ours(task, run.attempt)), None), None


def _refuse_to_guess(run: Run, doubt: KlingOnceError | None) -> None:
    hint = "Nothing more was submitted. Run it again later: it is looked for first, and never bought twice."
    if doubt is not None:
        raise OutcomeUnknown(
            f"It is not known whether Kling accepted {run.attempt.external_id}: {doubt.message}", hint=hint
        )
    if run.attempt.posts >= MAX_POSTS:
        attempt = run.attempt
        answers = "every answer was lost"
        if attempt.reason is not None:
            answers = f"the last answer was {attempt.reason_code} ({attempt.reason}), others were lost"
        raise OutcomeUnknown(
            f"{attempt.external_id} was sent {attempt.posts} times; {answers}, and Kling knows no such task.",
            hint=hint,
        )
