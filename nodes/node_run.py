"""One run of one node: where it runs, how it follows a job, what it shows meanwhile, and how it ends."""

from __future__ import annotations

import functools
import logging
import math
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..kling_once.errors import InputRefused, KlingOnceError, SpendingRefused
from ..kling_once.web.graph import (
    ApiPrompt,
    class_of,
    file_name_of,
    is_wired,
    signature,
    source_of,
    takers_of,
)
from . import host
from .host import ExecutionBlocker, KlingOnceFailure, io
from .orders import COLLECT, ON_FAILURE, SKIP, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from ..kling_once.errors import Violation
    from ..kling_once.jobs.engine import Engine, Listener
    from ..kling_once.jobs.progress import Progress
    from ..kling_once.ledger.queries import Expectation
    from ..kling_once.order import Order

logger = logging.getLogger(__name__)

NOTHING_SENT = re.compile(r"Nothing was submitted(?: for it)?\.")

HIDDEN = (io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.dynprompt, io.Hidden.extra_pnginfo)
JOB_INPUT = "job"
JOIN = "KlingOnce_JoinVideos"
TAKES_SKIPPED: Final = {"VIDEO": JOIN, "KLING_ONCE_JOB": COLLECT}
"""The node that can do with a `Skipped` item, by the type of its input."""
GRAPHS_REMEMBERED = 1000
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
Value = TypeVar("Value")


@dataclass(frozen=True)
class Skipped:
    """What stands in a list for an item that was skipped.

    ComfyUI never runs a node that takes a whole list when one item of it is blocked.
    """

    why: str


class NodeRuns:
    """What this process remembers of its nodes: the items of the running prompt, and graphs to run again."""

    def __init__(self) -> None:
        self._prompt_id = ""
        self._items: dict[str, NodeItems] = {}
        self._reruns: dict[str, int] = {}
        self._lock = threading.Lock()

    def items(self, prompt_id: str, node_id: str) -> NodeItems:
        """Return the items of a node. ComfyUI runs one prompt at a time: another one ends the last."""
        with self._lock:
            if prompt_id != self._prompt_id:
                self._prompt_id = prompt_id
                self._items.clear()
            return self._items.setdefault(node_id, NodeItems())

    def run_again(self, graph: str) -> None:
        """Let the graph of this signature run again although ComfyUI has its outputs."""
        with self._lock:
            self._reruns[graph] = self._reruns.pop(graph, 0) + 1
            if len(self._reruns) > GRAPHS_REMEMBERED:  # to forget one makes it run once more, which is free
                del self._reruns[next(iter(self._reruns))]

    def times_again(self, graph: str) -> int:
        """Return how often `run_again` was asked for this graph."""
        with self._lock:
            return self._reruns.get(graph, 0)


RUNS: Final = NodeRuns()
"""Of this process: node classes have no instance that could hold it."""


@dataclass(frozen=True)
class NodeRun:
    """One item of a node that ComfyUI executes."""

    prompt_id: str
    node_id: str
    index: int
    """The item's place in a list input; 0 also without a list."""
    prompt: ApiPrompt
    """With the nodes that others, loops for example, have put into it so far."""
    workflow: Any
    """As the page saved it, None for an API client."""
    items: NodeItems
    """Every item of this node in this prompt."""
    status: ItemStatus
    """This item's."""

    @classmethod
    def of(cls, node: Any) -> NodeRun:
        """Return the run of a node class that ComfyUI executes."""
        prompt_id, node_id, index = host.running_place()
        hidden = node.hidden
        node_id = str(hidden.unique_id or node_id)
        prompt = host.whole_prompt(hidden.dynprompt) or hidden.prompt or {}
        workflow = (hidden.extra_pnginfo or {}).get("workflow")
        items = RUNS.items(prompt_id, node_id)
        return cls(prompt_id, node_id, index, prompt, workflow, items, items.begin(index))

    @property
    def signature(self) -> str:
        """Return the hash of the node that orders and of what leads to it."""
        return ordering_signature(self.prompt, self.node_id)

    def is_wired(self, slot: int) -> bool:
        """Tell whether an input takes this output."""
        return is_wired(self.prompt, self.node_id, slot)

    def file_name(self, input_id: str) -> str:
        """Return what to call an input in file names."""
        return file_name_of(self.prompt, self.node_id, input_id)

    async def follow(self, start: Callable[[Engine, Listener], Future[Value]]) -> Value:
        """Start a job and wait for it, with its progress on the node.

        Raises:
            KlingOnceFailure: another item has ended the prompt; nothing is begun for this one any more.
        """
        self.status.engine = engine = await host.engine()
        self.items.require_going_on()
        return await host.watched(start(engine, self.status.hear), self.update)

    async def hold_against_limits(self, order: Order) -> None:
        """Hold what all items of the node will cost together against the limits, before the first is sent.

        Core has begun every item of a list when the first one waits here.

        Raises:
            BudgetReached: they do not fit; nothing was submitted.
        """
        items = self.items
        if len(items) < 2:  # noqa: PLR2004 - one is held against the limits when its units are reserved
            return
        self.status.order, self.status.has_order = order, True
        while not all(item.has_order or item.has_ended for item in items.values()):
            items.require_going_on()
            await host.pause()
        if items.affordable is None:
            orders = [item.order for item in items.values() if item.order]
            engine = await host.engine()
            items.affordable = items.affordable or engine.require_affordable(orders)
        try:
            await host.watched(items.affordable)
        finally:
            self.status.order = None  # its frames are large

    async def end(self, text: str) -> None:
        """Show what became of this item; the text stays there."""
        self.status.has_ended, self.status.result = True, text
        await self.show()

    async def show(self) -> None:
        """Show where the node stands on the page; the last text stays there."""
        text = self.items.text()
        try:
            host.tell_words(text, self.items.broken)
            await host.show_progress(self.node_id, self.items.fraction(), text)
        except Exception as error:  # noqa: BLE001 - a display must not end what may be paid
            logger.debug("The page could not be told: %r", error)

    async def skip(self, node: Any, message: str) -> Any:
        """Return the outputs of a node that block this item alone, with what it failed with."""
        self.status.failure = message
        await self.show()
        logger.warning("Node %s, item %d is skipped: %s", self.node_id, self.index, message)
        RUNS.run_again(self.signature)
        outputs = enumerate(node.RETURN_TYPES)
        return io.NodeOutput(*(self._in_place_of(slot, kind, message) for slot, kind in outputs))

    def _in_place_of(self, slot: int, kind: str, message: str) -> Any:
        """Return what an output of a skipped item holds: what blocks, unless all who take it know better."""
        takers = takers_of(self.prompt, self.node_id, slot)
        if takers and all(class_of(self.prompt, taker) == TAKES_SKIPPED.get(kind) for taker in takers):
            return Skipped(message)
        return ExecutionBlocker(f"Skipped: {message}")

    async def stop(self, message: str) -> None:
        """Let every item of the node end with this one's failure; the first to fail has its message shown."""
        self.status.failure = message
        if not self.items.stopped_by:
            self.items.stopped_by = message
            await self.show()

    async def update(self) -> None:
        """Show where the node stands, if that is due.

        Raises:
            KlingOnceFailure: another item has ended the prompt.
        """
        self.items.require_going_on()
        if self.items.is_due():
            await self.show()


def as_run(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make of `execute(cls, run, inputs)` what ComfyUI calls.

    A failure ends the node with one message, or blocks its item where the input `on_failure` is `skip`.
    """

    @functools.wraps(execute)
    async def executed(cls: Any, **inputs: Any) -> Any:
        run = NodeRun.of(cls)
        try:
            return await execute(cls, run, inputs)
        except (KlingOnceError, host.KlingOnceFailure) as error:
            message = run.items.failure_text(error)
            run.items.broken += getattr(error, "violations", ())
        except host.STOPPED:
            await run.end(run.status.stopped_line() if run.status.engine else "stopped")
            raise
        finally:
            run.status.has_ended = True
        host.tell_words(message, run.items.broken)
        if inputs.get(ON_FAILURE.name) == SKIP:
            return await run.skip(cls, message)
        await run.stop(message)
        raise host.KlingOnceFailure(message)

    return executed


def announced(_cls: Any, **_inputs: Any) -> list[str]:
    """Count an item before any is executed: the `check_lazy_status` of nodes that follow a job.

    ComfyUI asks it of every item of a list before it executes the first, and of no item that is blocked.
    """
    prompt_id, node_id, index = host.running_place()
    RUNS.items(prompt_id, node_id).announce(index)
    return []


def ordering_signature(prompt: ApiPrompt, node_id: str) -> str:
    """Return the signature of a node, or of the one that ordered the job that it takes."""
    return signature(prompt, source_of(prompt, node_id, JOB_INPUT) or node_id, host.input_moment)


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
