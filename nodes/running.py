"""One run of one node: who it is, what is wired to it, and how it ends."""

from __future__ import annotations

import functools
import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

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
from .inputs import AUDIO_SLOT, FRAMES_SLOT
from .stack_trace import without_our_lines
from .status import (
    Items,
    Status,
    items_of,
    taking_part,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ..kling_once.jobs.check import Checked
    from ..kling_once.jobs.engine import Engine, Listener
    from ..kling_once.jobs.outcome import Outcome


logger = logging.getLogger(__name__)

HIDDEN = (io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.dynprompt, io.Hidden.extra_pnginfo)
JOB_INPUT = "job"
Value = TypeVar("Value")


def explained(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let a node end with one message for people, or with a blocked item where `on_failure` is `skip`."""

    @functools.wraps(execute)
    async def explaining(cls: Any, **inputs: Any) -> Any:
        running = Running.of(cls)
        with taking_part(running.prompt_id, running.node_id, running.index) as status:
            try:
                return await execute(cls, **inputs)
            except (KlingOnceError, host.KlingOnceFailure) as error:
                message = str(error)
            status.failure = message
            if inputs.get("on_failure") == "skip":
                await running.tell()
                logger.warning("Node %s, item %d is skipped: %s", running.node_id, running.index, message)
                note_event(running.signature)
                return io.NodeOutput(None, block_execution=f"Skipped: {message}")
            if not running.items.stopped_by:
                running.items.stopped_by = message
                await running.tell()
            raise host.KlingOnceFailure(message)

    return without_our_lines(explaining, host.KlingOnceFailure)


@dataclass(frozen=True)
class Running:
    """Where a node runs."""

    prompt_id: str
    node_id: str
    index: int
    """The item's place in a list input; 0 also without a list."""
    prompt: ApiPrompt
    """With the nodes that others, loops for example, have put into it so far."""
    workflow: Any
    """As the page saved it, None for an API client."""
    items: Items
    """All that runs of this node in this prompt."""

    @classmethod
    def of(cls, node: Any) -> Running:
        """Return where a node class is running."""
        prompt_id, node_id, index = host.running_place()
        hidden = node.hidden
        node_id = str(hidden.unique_id or node_id)
        prompt = host.whole_prompt(hidden.dynprompt) or hidden.prompt or {}
        workflow = (hidden.extra_pnginfo or {}).get("workflow")
        return cls(prompt_id, node_id, index, prompt, workflow, items_of(prompt_id, node_id))

    @property
    def signature(self) -> str:
        """Return the hash of the node that orders and of what leads to it."""
        return ordering_signature(self.prompt, self.node_id)

    def is_wired(self, slot: int) -> bool:
        """Tell whether somebody takes an output."""
        return is_wired(self.prompt, self.node_id, slot)

    def file_name(self, input_id: str) -> str:
        """Return what to call an input in file names."""
        return file_name_of(self.prompt, self.node_id, input_id)

    async def follow(self, start: Callable[[Engine, Listener], Future[Value]]) -> Value:
        """Start a job and wait for it, telling the page how it goes.

        Raises:
            KlingOnceFailure: another item has ended the prompt; nothing is begun for this one any more.
        """
        engine = await host.engine()
        self.items.go_on()
        status = self._status(engine)
        value = await host.watched(start(engine, status.hear), self._show)
        if status.progress and status.progress.stage == "kept":
            await self.tell()
        return value

    async def decode(self, work: Callable[..., Value], path: Path) -> Value:
        """Decode something of a file, telling the page."""
        self._status().is_decoding = True
        return await host.decoding(work, path, show=self._show)

    def _status(self, engine: Engine | None = None) -> Status:
        status = self.items[self.index]
        status.engine = engine or status.engine
        return status

    async def _show(self) -> None:
        self.items.go_on()
        if self.items.is_due():
            await self.tell()

    async def tell(self) -> None:
        """Tell the page how the node stands; what was told last stays on the node."""
        try:
            await host.show_progress(self.node_id, self.items.fraction(), self.items.text())
        except Exception as error:  # noqa: BLE001 - a display must not end what may be paid
            logger.debug("The page could not be told: %r", error)


def ordering_signature(prompt: ApiPrompt, node_id: str) -> str:
    """Return the signature of a node, or of the one that ordered the job that it takes."""
    return signature(prompt, source_of(prompt, node_id, JOB_INPUT) or node_id, host.input_moment)


_events: dict[str, int] = {}
_events_lock = threading.Lock()


def note_event(name: str) -> None:
    """Count that the graph of this signature must run again although ComfyUI has its outputs."""
    with _events_lock:
        _events[name] = _events.get(name, 0) + 1


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


def _troubles(name: str) -> list[int]:
    try:
        engine = host.open_engine()
        failed, kept = engine.ask(_outcomes(engine, name)).result()
        if not all(engine.store.has(*file) for file in kept):
            note_event(name)
    except KlingOnceError as error:
        logger.warning("The ledger cannot be read: %s", error)
        failed = -1
    return [failed, _events.get(name, 0)]


async def _outcomes(engine: Engine, name: str) -> tuple[int, list[tuple[str, int]]]:
    """Return how many attempts of a graph's jobs failed, and path and size of what they have kept."""
    ledger = await engine.ledger()
    return await ledger.times_failed(name), await ledger.kept_files(name)


async def delivered(running: Running, outcome: Outcome) -> Any:
    """Return a job's outputs; frames and sound are decoded only where something takes them.

    Raises:
        NotEnoughMemory: the frames do not fit.
        UnreadableMedia: somebody has damaged the kept file.
    """
    path, attempt = outcome.path, outcome.attempt
    frames = audio = None
    if running.is_wired(FRAMES_SLOT):
        decoded = await running.decode(_decoded, path)
        frames, audio, fps = decoded.frames, decoded.audio, float(decoded.fps)
    else:
        if running.is_wired(AUDIO_SLOT):
            audio = await running.decode(_sound, path)
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
        ui=_preview(path),
    )


def _preview(path: Path) -> Any:
    """Return what the page plays on the node; nothing for a file that ComfyUI does not serve."""
    folder = host.output_folder()
    if not path.is_relative_to(folder):
        return None
    subfolder = path.parent.relative_to(folder).as_posix()
    return ui.PreviewVideo([ui.SavedResult(path.name, subfolder, io.FolderType.output)])


def _decoded(path: Path, *, stop: Any) -> Any:
    from ..kling_once.media.decode import decode_clip  # noqa: PLC0415 - nothing heavy before a node runs

    return decode_clip(path, stop=stop)


def _sound(path: Path, *, stop: Any) -> Any:
    from ..kling_once.media.decode import decode_sound  # noqa: PLC0415 - likewise

    return decode_sound(path, stop=stop)


def _frame_rate(path: Path) -> float:
    from ..kling_once.media.probe import probe_clip  # noqa: PLC0415 - likewise

    return float(probe_clip(path).frame_rate)


PICTURE_ENDINGS = {".png", ".jpg"}


def preview(checked: Checked) -> tuple[Any, ...]:
    """Return report, ok, seconds, units, usd, image and video."""
    price = checked.price
    units = usd = seconds = 0.0
    if price is not None:
        seconds = float(price.seconds)
        if not checked.is_kept:
            units = float(price.units)
            usd = float(price.cash) if price.currency == "USD" else 0.0
    pictures = [path for path in checked.written if path.suffix in PICTURE_ENDINGS]
    clips = [path for path in checked.written if path.suffix not in PICTURE_ENDINGS]
    return (
        checked_report(checked),
        checked.ok,
        seconds,
        units,
        usd,
        _image(pictures[0]) if pictures else None,
        InputImpl.VideoFromFile(str(clips[0])) if clips else None,
    )


def checked_report(checked: Checked) -> str:
    """Return what a check found, one line each."""
    if checked.is_kept:
        lines = ["The result is kept here already: running this costs nothing."]
    elif checked.ok:
        lines = ["Ready to send."]
    else:
        lines = ["Would be refused; nothing would be spent:"]
        lines += [f"- {violation.message}" for violation in checked.violations]
        lines += [f"- {refusal}" for refusal in checked.refusals]
    if checked.price is not None and not checked.is_kept:
        price = checked.price
        cost = f"up to {price.units.normalize():f} units ({price.cash.normalize():f} {price.currency})"
        lines.append(f"Price on Kling: {cost} for {float(price.seconds):.2f} s.")
    return "\n".join([*lines, *checked.report, *checked.notes])


def _image(path: Path) -> Any:
    """Return a picture file as ComfyUI's IMAGE."""
    import numpy as np  # noqa: PLC0415 - nothing heavy before a node runs
    import torch  # noqa: PLC0415 - likewise

    from ..kling_once.media.picture import rgb_pixels  # noqa: PLC0415 - likewise

    pixels = np.array(rgb_pixels(path), dtype=np.float32) / np.float32(255)
    return torch.from_numpy(pixels)[None]
