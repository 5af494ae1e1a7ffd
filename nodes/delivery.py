"""What a finished job hands over, and whether a node has to run again for it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from ..kling_once.errors import KlingOnceError
from ..kling_once.web.graph import is_wired
from . import host
from .host import InputImpl, io, ui
from .node_run import RUNS, ordering_signature
from .orders import AUDIO_SLOT, FRAMES_SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..kling_once.jobs.engine import Engine
    from ..kling_once.jobs.outcome import Outcome
    from .node_run import NodeRun

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


def delivered_outputs() -> list[Any]:
    """Return what a finished job hands over."""
    return [
        io.Video.Output(display_name="video", tooltip="The kept file."),
        io.Image.Output(display_name="frames", tooltip="Decoded only when something is wired here."),
        io.Audio.Output(display_name="audio", tooltip="The result's sound; nothing when it has none."),
        io.Float.Output(display_name="fps"),
        io.String.Output(display_name="task_id"),
        io.String.Output(display_name="video_url", tooltip="Kling's link; it lives for 30 days."),
        io.String.Output(display_name="watermark_url"),
        io.Float.Output(display_name="units", tooltip="The charge, or the estimate where Kling stated none."),
        io.String.Output(
            display_name="report", tooltip="Bought or reused, price, what was done, where it is kept."
        ),
    ]


async def deliver(run: NodeRun, outcome: Outcome) -> Any:
    """Return a job's outputs; frames and sound are decoded only where something takes them.

    Raises:
        NotEnoughMemory: the frames do not fit.
        UnreadableMedia: the kept file is damaged.
    """
    path, attempt = outcome.path, outcome.attempt
    frames = audio = None
    if run.is_wired(FRAMES_SLOT):
        decoded = await _decode(run, _frames, path)
        frames, audio, fps = decoded.frames, decoded.audio, float(decoded.fps)
    else:
        if run.is_wired(AUDIO_SLOT):
            audio = await _decode(run, _sound, path)
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


async def _decode(run: NodeRun, work: Callable[..., Value], path: Path) -> Value:
    run.status.is_decoding = True
    return await host.decoding(work, path, show=run.update)


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
