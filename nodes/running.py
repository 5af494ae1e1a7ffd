"""One run of one node: who it is, what is wired to it, and how it ends."""

from __future__ import annotations

import functools
import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..kling_direct.errors import KlingDirectError
from . import host
from .graph import ApiPrompt, file_name_of, is_wired, signature, source_of
from .host import io
from .status import Items, Status, board

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future

    from ..kling_direct.jobs.engine import Engine, Listener

logger = logging.getLogger(__name__)

HIDDEN = (io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo)
Value = TypeVar("Value")


def explained(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let a node end with one message for people, or with a blocked item where `on_failure` is `skip`."""

    @functools.wraps(execute)
    async def explaining(cls: Any, **inputs: Any) -> Any:
        try:
            return await execute(cls, **inputs)
        except KlingDirectError as error:
            message = str(error)
        if inputs.get("on_failure") == "skip":
            note_event(Running.of(cls).signature)
            return io.NodeOutput(None, block_execution=f"Skipped: {message}")
        raise host.KlingDirectFailure(message)

    return explaining


@dataclass(frozen=True)
class Running:
    """Where a node runs."""

    prompt_id: str
    node_id: str
    index: int
    """The item's place in a list input; 0 also without a list."""
    prompt: ApiPrompt
    workflow: Any
    """As the page saved it, None for an API client."""

    @classmethod
    def of(cls, node: Any) -> Running:
        """Return where a node class is running."""
        prompt_id, node_id, index = host.running_place()
        hidden = node.hidden
        workflow = (hidden.extra_pnginfo or {}).get("workflow")
        return cls(prompt_id, str(hidden.unique_id or node_id), index, hidden.prompt or {}, workflow)

    @property
    def signature(self) -> str:
        """Return the hash of the node and what leads to it."""
        return signature(self.prompt, self.node_id, host.input_moment)

    def is_wired(self, slot: int) -> bool:
        """Tell whether somebody takes an output."""
        return is_wired(self.prompt, self.node_id, slot)

    def file_name(self, input_id: str) -> str:
        """Return what to call an input in file names."""
        return file_name_of(self.prompt, self.node_id, input_id)

    async def follow(self, start: Callable[[Engine, Listener], Future[Value]]) -> Value:
        """Start a job and wait for it, telling the page how it goes."""
        engine = await host.engine()
        with board(self.prompt_id, self.node_id) as items:
            status = Status(engine)
            items[self.index] = status
            showing = functools.partial(self._show, items)
            return await host.watched(start(engine, status.hear), showing)

    async def _show(self, items: Items) -> None:
        if items.is_due():
            await host.show_progress(self.node_id, items.fraction(), items.text())


_events: dict[str, int] = {}
_events_lock = threading.Lock()


def note_event(name: str) -> None:
    """Count that the graph of this signature must run again although ComfyUI has its outputs."""
    with _events_lock:
        _events[name] = _events.get(name, 0) + 1


def fingerprint(slots: Sequence[int] = (), *, through: str = "") -> str:
    """Return what decides whether a node runs again although its inputs are the same. Never raises.

    That is which of `slots` are wired, and what has gone wrong with the jobs of its graph. `through` is
    an input that brings a job from the node that ordered it.
    """
    try:
        prompt_id, node_id, _index = host.running_place()
        prompt = host.running_prompt(prompt_id)
        wired = [is_wired(prompt, node_id, slot) for slot in slots]
        subject = source_of(prompt, node_id, through) or node_id
        return json.dumps([wired, _troubles(signature(prompt, subject, host.input_moment))])
    except Exception:
        logger.exception("The fingerprint of a node cannot be told; its outputs count as fresh.")
        return "unknown"


def fingerprint_of_this_queueing() -> str:
    """Return something new for every prompt: the node is free, and asks anew. Never raises."""
    return host.running_place()[0]


def _troubles(name: str) -> list[int]:
    from ..kling_direct.jobs.graphs import kept_files, times_failed  # noqa: PLC0415 - only when a node runs

    try:
        engine = host.open_engine()
        database = engine.ledger().database
        if not all(engine.store.has(*kept) for kept in kept_files(database, name)):
            note_event(name)
        failed = times_failed(database, name)
    except KlingDirectError as error:
        logger.warning("The ledger cannot be read: %s", error)
        failed = -1
    return [failed, _events.get(name, 0)]
