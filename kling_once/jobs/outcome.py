"""What a person gets for an order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..api.limits import ELEMENT_PRICE, amount_text, cash_of
from ..ledger.decision import charge_sentence
from ..results.store import watermarked

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from ..api.models import Task
    from ..ledger.attempts import Attempt
    from ..ledger.job import JobLabel


@dataclass(frozen=True, slots=True)
class Outcome:
    """A kept video and what is known about it."""

    label: JobLabel
    attempt: Attempt
    path: Path
    reused: bool
    """The result was here before: nothing was submitted for this order, nor by the submit it collects."""
    did: tuple[str, ...] = ()
    """What was done to the inputs, one sentence each."""
    notes: tuple[str, ...] = field(default=())

    @property
    def units(self) -> Decimal | None:
        """Return the units charged, None where the vendor stated none."""
        return self.attempt.units_charged

    def joined(self) -> Outcome:
        """Return the outcome for somebody whose equal order was already under way."""
        return replace(self, reused=True, did=(), notes=())

    def report(self) -> str:
        """Return everything worth telling, one line each."""
        attempt = self.attempt
        lines = [self._came_about()]
        lines.append(f"Task {attempt.task_id} ({attempt.external_id}).")
        lines.append(charge_sentence(attempt) + self._estimate())
        if attempt.result_seconds is not None:
            lines.append(self._delivered(attempt.result_seconds))
        lines += self.did
        lines += self.notes
        lines.append(f"Kept as {self.path}")
        if attempt.watermark_url:
            lines.append(self._watermarked())
        return "\n".join(lines)

    def _came_about(self) -> str:
        if self.label.service.value == "sandbox":
            free = "Sandbox: nothing costs money."
            if self.reused:
                return f"Reused: this job was made before; nothing was submitted. {free}"
            return f"Submitted and made once. {free}"
        if self.reused:
            return "Reused: this job was paid before; nothing was submitted."
        return "Submitted and paid once."

    def _watermarked(self) -> str:
        copy = watermarked(self.path)
        if copy.is_file():
            return f"Watermarked copy: {copy}"
        return "The watermarked copy could not be fetched; Kling has it for 30 days, at watermark_url."

    def _estimate(self) -> str:
        attempt = self.attempt
        if attempt.units_estimated is None or attempt.units_charged is None:
            return ""
        cash = amount_text(*cash_of(attempt.units_charged, china=attempt.realm == "china"))
        return f" That is {cash}; the estimate was up to {amount_text(attempt.units_estimated, 'units')}."

    def _delivered(self, delivered: Decimal) -> str:
        asked = self.attempt.seconds
        if asked is None:
            return f"Delivered {delivered:.1f} s."
        line = f"Delivered {delivered:.1f} s for a reference video of {asked:.1f} s."
        if asked - delivered >= 1:
            line += " Kling found only that much usable motion, and does not refund the rest."
        return line


@dataclass(frozen=True, slots=True)
class MadeElement(Outcome):
    """An element of the account's library; `path` is where its small picture lies, if it has one."""

    @property
    def element_id(self) -> str:
        """Return its id, as digits."""
        return self.attempt.made_element_id or ""

    def report(self) -> str:
        """Return everything worth telling, one line each."""
        attempt = self.attempt
        lines = [
            f"Element {self.element_id}.",
            "Reused: it was made before; nothing was submitted." if self.reused else "Made once.",
            f"Task {attempt.task_id} ({attempt.external_id}).",
            f"{charge_sentence(attempt)} {ELEMENT_PRICE}",
        ]
        return "\n".join([*lines, *self.did, *self.notes])


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Newest first; where `account_browse` is `own`, the ledger's alone."""

    tasks: tuple[Task, ...]
    is_last: bool
    """Whether the account has no older ones; a full page does not tell."""
