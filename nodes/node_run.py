"""One run of one node: where it runs, how it follows a job, what it shows meanwhile, and how it ends."""

from __future__ import annotations

import functools
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..kling_once.errors import KlingOnceError
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
from .host import ExecutionBlocker, io
from .node_items import ItemStatus, NodeItems
from .orders import COLLECT, ON_FAILURE, SKIP

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from ..kling_once.jobs.engine import Engine, Listener
    from ..kling_once.order import Order

logger = logging.getLogger(__name__)

HIDDEN = (io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.dynprompt, io.Hidden.extra_pnginfo)
JOB_INPUT = "job"
JOIN = "KlingOnce_JoinVideos"
TAKES_SKIPPED: Final = {"VIDEO": JOIN, "KLING_ONCE_JOB": COLLECT}
"""The node that can do with a `Skipped` item, by the type of its input."""
GRAPHS_REMEMBERED = 1000
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
