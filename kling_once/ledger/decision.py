"""Decide what ordering a job means, given the attempts it has. Pure: no clock, no disk, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..api.limits import amount_text
from ..api.service_codes import FINAL_CODES
from ..errors import JobError, ResultGone, TaskFailed
from .attempts import MAX_ATTEMPTS, Attempt
from .tables import AttemptState

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT_FAILURE_WORDS: Final = (
    "body detected",
    "upper body",
    "whole body",
    "recognition failed",
    "character in the reference",
    "risk control",
    "content risk",
    "content policy",
    "sensitive",
    "moderation",
    "format is invalid",
)
"""Seen in failed tasks whose input was at fault. The vendor documents no code for them, so a match
only ever stops spending: it never starts an attempt and never adopts a task."""

RETRY_HINT: Final = (
    "Change an input, or raise take to buy a new attempt on purpose"
    " (on the command line: run it with --again)."
)


@dataclass(frozen=True, slots=True)
class Serve:
    """The result is kept: hand it over."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class CarryOn:
    """An attempt is under way: pick it up."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Reopen:
    """The vendor refused and made no task: the same attempt may be sent again."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Open:
    """Begin the next attempt."""

    number: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Spend nothing and say why."""

    error: JobError


Step = Serve | CarryOn | Reopen | Open | Refuse


def next_step(attempts: Sequence[Attempt], *, again: bool) -> Step:
    """Decide from a job's attempts, in the order of their numbers."""
    kept = [attempt for attempt in attempts if attempt.state is AttemptState.KEPT]
    if kept:
        return Serve(kept[-1])
    if not attempts:
        return Open(1)
    under_way = [attempt for attempt in attempts if not attempt.has_ended]
    return CarryOn(under_way[-1]) if under_way else _after(attempts[-1], again=again)


def _after(last: Attempt, *, again: bool) -> Step:
    if last.state is AttemptState.EXPIRED:
        return Refuse(gone(last))
    if last.state is AttemptState.REJECTED:
        stop = last.reason_code in FINAL_CODES and not again
        return Refuse(again_failed(last, "was refused")) if stop else Reopen(last)
    if last.shows_charge and not again:
        return Refuse(again_failed(last, "failed and was charged"))
    if is_input_failure(last.reason) and not again:
        return Refuse(again_failed(last, "failed because of its input"))
    return _open_next(last)


def is_input_failure(reason: str | None) -> bool:
    """Tell whether a failed task's reason names its input."""
    text = (reason or "").casefold()
    return any(words in text for words in INPUT_FAILURE_WORDS)


def charge_text(attempt: Attempt) -> str:
    """Return what an attempt cost, or the estimate, in words."""
    if attempt.units_charged is not None:
        return amount_text(attempt.units_charged, "units")
    if attempt.cash_charged is not None:
        return amount_text(attempt.cash_charged, attempt.currency or "").strip()
    if attempt.units_estimated is not None:
        return f"no charge stated (estimate up to {amount_text(attempt.units_estimated, 'units')})"
    return "no charge stated"


def _open_next(last: Attempt) -> Step:
    if last.number >= MAX_ATTEMPTS:
        message = f"This job has used its {MAX_ATTEMPTS} attempts; the last one ended with: {last.reason}"
        return Refuse(TaskFailed(message, hint="Change an input, or raise take.", task_id=last.task_id))
    return Open(last.number + 1)


def again_failed(last: Attempt, what: str) -> TaskFailed:
    """Return what people are told who order again what failed or was refused."""
    when = f" on {last.ended_at:%Y-%m-%d %H:%M} UTC" if last.ended_at else ""
    charge = f" Charge: {charge_text(last)}." if last.shows_charge else ""
    return TaskFailed(
        f"This job {what}{when}, and nothing was submitted again: {last.reason}{charge}",
        hint=RETRY_HINT,
        task_id=last.task_id,
    )


def gone(last: Attempt) -> ResultGone:
    """Return what people are told of a result that the vendor no longer has."""
    made = f" of {last.vendor_created_at:%Y-%m-%d}" if last.vendor_created_at else ""
    here, hint = "was not kept here", ""
    if last.result_path:
        here = f"its file {last.result_path} is not in the results folder any more"
        hint = "Put the file back, or name the folder that holds it in KLING_ONCE_RESULTS. "
    return ResultGone(
        f"The result{made} ({charge_text(last)}) is past the 30 days that Kling keeps it, and {here}.",
        hint=f"{hint}A copy of the video is taken by 'kling-once collect {last.task_id} --from-file PATH'."
        " Only a new take makes it again, and is paid again: raise take.",
        task_id=last.task_id,
    )


def failure(attempt: Attempt) -> TaskFailed:
    """Return the error of a failed attempt, for those who waited for it."""
    charge = f" Charge: {charge_text(attempt)}." if attempt.shows_charge else ""
    hint = (
        RETRY_HINT
        if is_input_failure(attempt.reason) or attempt.shows_charge
        else "Run it again to make another attempt; if it fails once more, change an input."
    )
    return TaskFailed(
        f"Kling reports that the task failed: {attempt.reason}{charge}", hint=hint, task_id=attempt.task_id
    )
