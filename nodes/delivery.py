"""What a node hands over for a kept video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import host
from .host import InputImpl, io, ui
from .inputs import AUDIO_SLOT, FRAMES_SLOT

if TYPE_CHECKING:
    from pathlib import Path

    from ..kling_once.jobs.outcome import Outcome
    from .running import Running


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
    from ..kling_once.media.decode_sound import decode_sound  # noqa: PLC0415 - likewise

    return decode_sound(path, stop=stop)


def _frame_rate(path: Path) -> float:
    from ..kling_once.media.probe import probe_clip  # noqa: PLC0415 - likewise

    return float(probe_clip(path).frame_rate)
