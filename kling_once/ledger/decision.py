"""Decide what ordering a job means, given the attempts it has. Pure: no clock, no disk, no network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..api.limits import RESULT_LIFETIME_DAYS, amount_text
from ..api.service_codes import CHOOSE_ANOTHER_MODEL, RETIRED, is_final
from ..errors import KlingOnceError, LedgerTooNew, ResultGone, TaskFailed
from ..order import SANDBOX_REALM
from .attempts import MAX_ATTEMPTS, Attempt
from .tables import AttemptState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

INPUT_FAILURES: Final = (
    (
        ("body detected", "upper body", "whole body"),
        "Show one person alone, at least from head to waist, in the picture and all through the clip.",
    ),
    (
        ("recognition failed", "character in the reference", "first frame"),
        "Give a picture of one clear person, and trim the clip until its first frame shows one.",
    ),
    (
        ("format is invalid", "pixel is invalid"),
        "Save the picture as a plain PNG or JPEG and the clip as an MP4, in the sizes that the check allows.",
    ),
    (
        ("risk control", "content risk", "content policy", "sensitive", "moderation"),
        "Change the picture, the clip or the prompt: Kling does not review a refusal.",
    ),
)
"""Words seen in failed tasks whose input was at fault, and what to do. The vendor documents no code for them,
so a match only ever stops spending: it never starts an attempt and never adopts a task."""

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

    error: KlingOnceError


Step = Serve | CarryOn | Reopen | Open | Refuse


def next_step(attempts: Sequence[Attempt], *, again: bool) -> Step:
    """Decide from a job's attempts, in the order of their numbers."""
    kept = [attempt for attempt in attempts if attempt.state is AttemptState.KEPT]
    if kept:
        return Serve(kept[-1])
    newer = next((attempt for attempt in attempts if attempt.state is AttemptState.NEWER), None)
    if newer is not None:
        return Refuse(of_newer_version(newer))
    if not attempts:
        return Open(1)
    under_way = [attempt for attempt in attempts if not attempt.has_ended]
    return CarryOn(under_way[-1]) if under_way else _after(attempts[-1], again=again)


def _after(last: Attempt, *, again: bool) -> Step:
    if last.state is AttemptState.EXPIRED:
        return Open(last.number + 1) if last.made_element_id else Refuse(gone(last))
    if last.state is AttemptState.REJECTED:
        stop = is_final(last.reason_code, last.reason) and not again
        return Refuse(again_failed(last, "was refused")) if stop else Reopen(last)
    if last.shows_charge and not again:
        return Refuse(again_failed(last, "failed and was charged"))
    if input_advice(last.reason) and not again:
        return Refuse(again_failed(last, "failed because of its input"))
    return _open_next(last)


def of_newer_version(attempt: Attempt) -> LedgerTooNew:
    """Return what people are told of an attempt whose state only a newer version understands."""
    return LedgerTooNew(
        f"This job was last written by a newer version of Kling Once ({attempt.external_id}).",
        hint="Nothing is submitted for it here. Install the newest Kling Once and run again.",
        task_id=attempt.task_id,
    )


def input_advice(reason: str | None) -> str:
    """Return what to change when a failed task's reason names its input; empty where it does not."""
    if RETIRED.search(reason or ""):
        return CHOOSE_ANOTHER_MODEL
    text = (reason or "").casefold()
    return next((advice for words, advice in INPUT_FAILURES if any(word in text for word in words)), "")


def retry_hint(reason: str | None) -> str:
    """Return what to do about a failure that queueing again does not mend."""
    return f"{input_advice(reason)} {RETRY_HINT}".strip()


def charge_text(attempt: Attempt) -> str:
    """Return what an attempt cost, or the estimate, in words."""
    charges = []
    if attempt.units_charged is not None:
        charges.append(amount_text(attempt.units_charged, "units"))
    if attempt.cash_charged or (attempt.cash_charged is not None and not charges):
        charges.append(amount_text(attempt.cash_charged, attempt.currency or "").strip())
    if attempt.unread_charge:
        charges.append(f"a charge of unknown size (Kling says {attempt.unread_charge!r})")
    if charges:
        return " and ".join(charges)
    if attempt.units_estimated is not None:
        return f"no charge stated (estimate up to {amount_text(attempt.units_estimated, 'units')})"
    return "no charge stated"


def charge_sentence(attempt: Attempt) -> str:
    """Return what an attempt cost as a sentence; nobody pays what the sandbox states."""
    charge = charge_text(attempt)
    if attempt.realm == SANDBOX_REALM:
        return f"At Kling the charge would be: {charge}."
    return f"Charge: {charge}."


def _open_next(last: Attempt) -> Step:
    if last.number >= MAX_ATTEMPTS:
        message = f"This job has used its {MAX_ATTEMPTS} attempts; the last one ended with: {last.reason}"
        return Refuse(TaskFailed(message, hint="Change an input, or raise take.", task_id=last.task_id))
    return Open(last.number + 1)


def again_failed(last: Attempt, what: str) -> TaskFailed:
    """Return what people are told who order again what failed or was refused."""
    when = f" on {last.ended_at:%Y-%m-%d %H:%M} UTC" if last.ended_at else ""
    charge = f" {charge_sentence(last)}" if last.shows_charge else ""
    return TaskFailed(
        f"This job {what}{when}, and nothing was submitted again: {last.reason}{charge}",
        hint=retry_hint(last.reason),
        task_id=last.task_id,
    )


def gone(last: Attempt, said_at: datetime | None = None) -> ResultGone:
    """Return what people are told of a result that the service no longer has.

    Args:
        last: the attempt whose result it is.
        said_at: when the service said so; default: when the attempt expired.
    """
    if last.made_element_id:
        return ResultGone(
            f"The element {last.made_element_id} was deleted.",
            hint="Order it again to make it again.",
            task_id=last.task_id,
        )
    made = f" of {last.vendor_created_at:%Y-%m-%d}" if last.vendor_created_at else ""
    who = "the sandbox" if last.realm == SANDBOX_REALM else "Kling"
    here, hint = "was not kept here", ""
    if last.result_path:
        here = f"its file {last.result_path} is not in the results folder any more"
        hint = "Put the file back, or name the folder that holds it in KLING_ONCE_RESULTS. "
    why = "is past the 30 days that Kling keeps it"
    expired_at = last.ended_at if last.state is AttemptState.EXPIRED else None
    if _is_early(last, said_at or expired_at):
        why = f"is gone, because {who} no longer knows task {last.task_id}"
    again = "costs nothing in the sandbox" if last.realm == SANDBOX_REALM else "is paid again"
    return ResultGone(
        f"The result{made} ({charge_text(last)}) {why}, and {here}.",
        hint=f"{hint}A copy of the video is taken by 'kling-once collect {last.task_id} --from-file PATH'."
        f" Only a new take makes it again, and {again}: raise take.",
        task_id=last.task_id,
    )


def _is_early(last: Attempt, moment: datetime | None) -> bool:
    """Tell whether a task's lifetime was not over at a moment: a sandbox may lose its state."""
    began = max(filter(None, (last.submitted_at, last.vendor_created_at)), default=None)
    if began is None or moment is None:
        return False
    return moment - began < timedelta(days=RESULT_LIFETIME_DAYS)


def failure(attempt: Attempt) -> TaskFailed:
    """Return the error of a failed attempt, for those who waited for it."""
    charge = f" {charge_sentence(attempt)}" if attempt.shows_charge else ""
    hint = (
        retry_hint(attempt.reason)
        if input_advice(attempt.reason) or attempt.shows_charge
        else "Run it again to make another attempt; if it fails once more, change an input."
    )
    return TaskFailed(
        f"Kling reports that the task failed: {attempt.reason}{charge}", hint=hint, task_id=attempt.task_id
    )
