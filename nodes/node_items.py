"""The items of a node in one prompt: how far each is, and the text and the bar that a node shows of them."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

from ..kling_once.errors import InputRefused, SpendingRefused
from .host import KlingOnceFailure
from .orders import told

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..kling_once.errors import Violation
    from ..kling_once.jobs.engine import Engine
    from ..kling_once.jobs.progress import Progress
    from ..kling_once.ledger.queries import Expectation
    from ..kling_once.order import Order

NOTHING_SENT = re.compile(r"Nothing was submitted(?: for it)?\.")
SHOW_SECONDS = 0.5
"""The least time between two updates of a node."""
USUAL_SECONDS = 150.0
"""Drives the bar where this ledger has no past job to learn from."""
LINES = 4
"""The most items under way, and the most failed ones, that a node lists."""
STARTS = {"check": 0.0, "conform": 0.02, "upload": 0.1, "queue": 0.12, "submit": 0.14, "settle": 0.14}
"""Where the bar stands when a stage begins, 0 to 1."""
CONFORM_SHARE = 0.08
WAIT_FROM, WAIT_TO = 0.15, 0.9
PHRASES = {
    "check": "reading the inputs",
    "conform": "checking and conforming the inputs",
    "upload": "handing the clip over",
    "queue": "waiting for a place",
    "submit": "submitting",
    "settle": "finding out what became of the submit",
    "wait": "waiting for Kling",
    "download": "downloading",
    "kept": "kept",
}


class ItemStatus:
    """Where one item of a node stands."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.progress: Progress | None = None
        """The newest; None before the first."""
        self.is_decoding = self.has_ended = False
        self.failure = self.result = ""
        """Its message, once the item has failed or ended otherwise."""
        self.has_order = False
        """Its order is known; it stays so when `order` is let go of."""
        self.order: Order | None = None
        """What it will order, while the items of a list are held against the limits."""
        self._began = time.monotonic()
        self._accepted: float | None = None
        self._expected: Future[Expectation] | None = None

    def hear(self, progress: Progress) -> None:
        """Take an update of the job; from any thread. The time of an item counts from its place."""
        if self.progress and self.progress.stage == "queue" and progress.stage != "queue":
            self._began = time.monotonic()
        self.progress = progress
        is_sent = progress.stage in {"submit", "wait", "settle"}
        if is_sent and self._expected is None and self.engine is not None:
            self._expected = self.engine.ask(_expectation(self.engine, progress.job_key))
        if progress.task_id and self._accepted is None:
            self._accepted = time.monotonic()

    def fraction(self) -> float:
        """Return how far this item is, 0 to 1."""
        if self.has_ended:
            return 1.0
        if self.progress is None:
            return 0.0
        stage, done, total = self.progress.stage.value, self.progress.done, self.progress.total
        share = min(1.0, done / total) if total else 0.0
        if stage in STARTS:
            return STARTS[stage] + (CONFORM_SHARE * share if stage == "conform" else 0.0)
        if stage == "wait":
            waited = time.monotonic() - (self._accepted or time.monotonic())
            expected = self._expectation()
            usual = (expected.seconds if expected else None) or USUAL_SECONDS
            return WAIT_FROM + (WAIT_TO - WAIT_FROM) * (1 - math.exp(-1.6 * waited / usual))
        return 1.0 if stage == "kept" else WAIT_TO + (1 - WAIT_TO) * share

    def line(self) -> str:
        """Return stage, elapsed time, usual time, price and task; once it has ended, how."""
        if self.failure or self.result:
            return self.failure or self.result
        progress = self.progress
        if progress is None:
            return "Kling Once: starting"
        phrase = "decoding" if self.is_decoding else PHRASES[progress.stage.value]
        if progress.text and progress.text not in phrase and not self.is_decoding:
            phrase = f"{phrase} ({progress.text})"
        parts = [phrase, self.clock()]
        expected = self._expectation()
        if expected and expected.price:
            parts.append(expected.price)
        if progress.task_id:
            parts.append(f"task {progress.task_id}")
        return " | ".join(parts)

    def stopped_line(self) -> str:
        """Return what became of an item whose waiting was stopped."""
        task_id = self.progress.task_id if self.progress else None
        goes_on = f"task {task_id} goes on; " if task_id else ""
        return f"stopped | {goes_on}queue again to pick it up, which is paid once"

    def clock(self) -> str:
        """Return the elapsed time, and the usual one."""
        elapsed = _minutes(time.monotonic() - self._began)
        expected = self._expectation()
        return (
            f"{elapsed} of about {_minutes(expected.seconds)}" if expected and expected.seconds else elapsed
        )

    def _expectation(self) -> Expectation | None:
        if self._expected is None or not self._expected.done() or self._expected.exception():
            return None
        return self._expected.result()


async def _expectation(engine: Engine, job_key: str) -> Expectation:
    return await (await engine.ledger()).expectation(job_key)


class NodeItems(dict[int, ItemStatus]):
    """The items of one node in one prompt, by their place in the list; ended ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped_by = ""
        """The message of the item whose failure ends the prompt."""
        self.affordable: Future[None] | None = None
        """Whether the limits allow what all cost together, once that is asked."""
        self.broken: list[Violation] = []
        """Limits that items were refused for."""
        self._shown = -math.inf

    def announce(self, index: int) -> None:
        """Count an item that will begin. One that is known already belongs to an earlier execution."""
        if index in self or self._have_all_ended():
            self._start_anew()
        self[index] = ItemStatus()

    def begin(self, index: int) -> ItemStatus:
        """Return the status of an item that begins, announced or not."""
        if self._have_all_ended():
            self._start_anew()
        return self.setdefault(index, ItemStatus())

    def require_going_on(self) -> None:
        """Pass unless an item has ended the prompt.

        Raises:
            KlingOnceFailure: one has; the message is that item's.
        """
        if self.stopped_by:
            raise KlingOnceFailure(self.stopped_by)

    def _have_all_ended(self) -> bool:
        return all(item.has_ended for item in self.values())

    def _start_anew(self) -> None:
        self.clear()
        self.stopped_by, self.affordable = "", None

    def failure_text(self, error: Exception) -> str:
        """Return an item's failure; one for want of money also says what the others have submitted."""
        if isinstance(error, InputRefused):
            return " ".join(map(told, error.violations))
        tasks = [item.progress.task_id for item in self.values() if item.progress and item.progress.task_id]
        if not isinstance(error, SpendingRefused) or len(self) == 1 or self._are_refused_together():
            return str(error)
        text = NOTHING_SENT.sub("This item was not submitted.", str(error))
        if tasks:
            text += f" Submitted so far: {len(tasks)} of {len(self)} items (task {', '.join(tasks)})."
        return text

    def _are_refused_together(self) -> bool:
        held = self.affordable
        return held is not None and held.done() and not held.cancelled() and held.exception() is not None

    def is_due(self) -> bool:
        """Tell whether the page should get an update; True for at most one caller in `SHOW_SECONDS`."""
        if time.monotonic() - self._shown < SHOW_SECONDS:
            return False
        self._shown = time.monotonic()
        return True

    def fraction(self) -> float:
        """Return how far the node is, 0 to 1."""
        return sum(item.fraction() for item in self.values()) / len(self)

    def text(self) -> str:
        """Return one line for one item; for several a sum, then items under way and failed ones."""
        if self.stopped_by:
            return self.stopped_by
        if len(self) == 1:
            return next(iter(self.values())).line()
        failed = sorted(index for index, item in self.items() if item.failure)
        active = sorted(index for index, item in self.items() if not item.has_ended and not item.failure)
        head = f"{len(self)} items: {len(self) - len(active) - len(failed)} done"
        lines = [f"{head}, {len(failed)} failed" if failed else head]
        lines += [f"{index + 1}: {self[index].line()}" for index in active[:LINES] + failed[:LINES]]
        return "\n".join(lines)


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
