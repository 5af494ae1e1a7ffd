"""One run of one node: where it runs, what is wired to it, how it follows a job, and how it ends."""

from __future__ import annotations

import functools
import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..kling_once.errors import KlingOnceError
from . import host
from .graph import (
    ApiPrompt,
    file_name_of,
    is_wired,
    signature,
    source_of,
)
from .host import InputImpl, io, ui
from .inputs import (
    AUDIO_SLOT,
    FRAMES_SLOT,
    ON_FAILURE,
    SKIP,
)
from .status import ItemStatus, NodeItems

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ..kling_once.jobs.engine import Engine, Listener
    from ..kling_once.jobs.outcome import Outcome

logger = logging.getLogger(__name__)

HIDDEN = (io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.dynprompt, io.Hidden.extra_pnginfo)
JOB_INPUT = "job"
GRAPHS_REMEMBERED = 1000
Value = TypeVar("Value")


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
        value = await host.watched(start(engine, self.status.hear), self._update)
        if self.status.progress and self.status.progress.stage == "kept":
            await self.show()
        return value

    async def deliver(self, outcome: Outcome) -> Any:
        """Return a job's outputs; frames and sound are decoded only where something takes them.

        Raises:
            NotEnoughMemory: the frames do not fit.
            UnreadableMedia: the kept file is damaged.
        """
        path, attempt = outcome.path, outcome.attempt
        frames = audio = None
        if self.is_wired(FRAMES_SLOT):
            decoded = await self._decode(_frames, path)
            frames, audio, fps = decoded.frames, decoded.audio, float(decoded.fps)
        else:
            if self.is_wired(AUDIO_SLOT):
                audio = await self._decode(_sound, path)
            fps = await host.in_thread(_frame_rate, path)
        units = attempt.units_charged if attempt.units_charged is not None else attempt.units_estimated
        return io.NodeOutput(
            InputImpl.VideoFromFile(str(path)),
            frames,
            audio,
            fps,
            attempt.task_id or "",
            attempt.video_url or "",
            attempt.watermark_url or "",
            float(units or 0),
            outcome.report(),
            ui=_player(path),
        )

    async def show(self) -> None:
        """Show where the node stands on the page; the last text stays there."""
        try:
            await host.show_progress(self.node_id, self.items.fraction(), self.items.text())
        except Exception as error:  # noqa: BLE001 - a display must not end what may be paid
            logger.debug("The page could not be told: %r", error)

    async def skip(self, message: str) -> Any:
        """Return the output that blocks this item alone, with what it failed with."""
        self.status.failure = message
        await self.show()
        logger.warning("Node %s, item %d is skipped: %s", self.node_id, self.index, message)
        RUNS.run_again(self.signature)
        return io.NodeOutput(None, block_execution=f"Skipped: {message}")

    async def stop(self, message: str) -> None:
        """Let every item of the node end with this one's failure; the first to fail has its message shown."""
        self.status.failure = message
        if not self.items.stopped_by:
            self.items.stopped_by = message
            await self.show()

    async def _update(self) -> None:
        self.items.require_going_on()
        if self.items.is_due():
            await self.show()

    async def _decode(self, work: Callable[..., Value], path: Path) -> Value:
        self.status.is_decoding = True
        return await host.decoding(work, path, show=self._update)


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
            message = str(error)
        finally:
            run.status.has_ended = True
        if inputs.get(ON_FAILURE.name) == SKIP:
            return await run.skip(message)
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


def fingerprint(slots: Sequence[int] = ()) -> str:
    """Return what decides whether a node runs again although its inputs are the same. Never raises.

    That is which of `slots` are wired, and what has gone wrong with the jobs of its graph.
    """
    try:
        prompt_id, node_id, _index = host.running_place()
        prompt = host.running_prompt(prompt_id)
        wired = [is_wired(prompt, node_id, slot) for slot in slots]
        if node_id not in prompt:  # put in by another node, a loop for example: nothing is known of it
            return json.dumps([wired])
        return json.dumps([wired, _troubles(ordering_signature(prompt, node_id))])
    except Exception:
        logger.exception("The fingerprint of a node cannot be told; its outputs count as fresh.")
        return "unknown"


def fingerprint_of_this_queueing() -> str:
    """Return something new for every prompt: the node is free, and asks anew. Never raises."""
    return host.running_place()[0]


def _troubles(graph: str) -> list[int]:
    async def look(engine: Engine) -> tuple[int, list[tuple[str, int]]]:
        ledger = await engine.ledger()
        return await ledger.times_failed(graph), await ledger.kept_files(graph)

    try:
        engine = host.open_engine()
        failed, kept_files = engine.ask(look(engine)).result()
        if not all(engine.store.has(*kept) for kept in kept_files):
            RUNS.run_again(graph)
    except KlingOnceError as error:
        logger.warning("The ledger cannot be read: %s", error)
        failed = -1
    return [failed, RUNS.times_again(graph)]


def _player(path: Path) -> Any:
    """Return what the page plays on the node; nothing for a file that ComfyUI does not serve."""
    folder = host.output_folder()
    if not path.is_relative_to(folder):
        return None
    subfolder = path.parent.relative_to(folder).as_posix()
    return ui.PreviewVideo([ui.SavedResult(path.name, subfolder, io.FolderType.output)])


def _frames(path: Path, *, stop: Any) -> Any:
    from ..kling_once.media.decode import decode_clip  # noqa: PLC0415 - nothing heavy before a node runs

    return decode_clip(path, stop=stop)


def _sound(path: Path, *, stop: Any) -> Any:
    from ..kling_once.media.decode import decode_sound  # noqa: PLC0415 - likewise

    return decode_sound(path, stop=stop)


def _frame_rate(path: Path) -> float:
    from ..kling_once.media.probe import probe_clip  # noqa: PLC0415 - likewise

    return float(probe_clip(path).frame_rate)
