"""Some of a clip's frames: those of a part, every nth of them, and made smaller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import UnreadableMedia
from .decode import decode_clip
from .probe import probe_clip
from .types import Frames

if TYPE_CHECKING:
    from pathlib import Path

    from .types import Stop, TrimWindow


@dataclass(frozen=True, slots=True)
class Picked:
    """Which frames, and how large."""

    start_seconds: float
    count: int
    """0 is all."""
    every_nth: int
    """At least 1."""
    longest_side_px: int
    """Larger frames are made this large; 0 keeps their size."""


def picked_of_file(path: Path, window: TrimWindow | None, picked: Picked, *, stop: Stop) -> Frames:
    """Return frames of a file and their sound; blocking.

    `picked` counts from the start of the trim `window`; None is the whole clip.

    Raises:
        UnreadableMedia: no frame is there, or the file is no clip.
        NotEnoughMemory: the frames would not fit.
        MediaStopped: `stop` returned True.
    """
    start, count = Fraction(picked.start_seconds), picked.count
    if window is not None:
        start += Fraction(window.start_seconds)
        if window.duration_seconds:
            count = _count_within(path, picked, Fraction(window.duration_seconds))
    return decode_clip(
        path,
        start_seconds=start,
        count=count,
        every_nth=picked.every_nth,
        longest_side_px=picked.longest_side_px,
        stop=stop,
    )


def _count_within(path: Path, picked: Picked, duration: Fraction) -> int:
    """Return how many frames are wanted when a trim ends before the file does."""
    left = duration - Fraction(picked.start_seconds)
    room = math.ceil(left * probe_clip(path).frame_rate / picked.every_nth)
    if room < 1:
        raise UnreadableMedia(
            f"The trimmed video ends after {float(duration):g} s, before the first wanted frame.",
            hint="Start earlier.",
        )
    return min(room, picked.count) if picked.count else room


def picked_of_frames(source: Frames, picked: Picked) -> Frames:
    """Return some of the frames in memory, and their sound.

    Raises:
        UnreadableMedia: no frame is there.
    """
    first = math.ceil(Fraction(picked.start_seconds) * source.fps)
    frames = source.frames[first :: picked.every_nth]
    frames = frames[: picked.count] if picked.count else frames
    if not len(frames):
        raise UnreadableMedia(
            f"The video has no frame after {picked.start_seconds:g} s; it has {len(source.frames)} frames.",
            hint="Start earlier.",
        )
    seconds = len(frames) * picked.every_nth / source.fps if picked.count else None
    audio = _sound(source.audio, Fraction(picked.start_seconds), seconds)
    return Frames(_smaller(frames, picked.longest_side_px), source.fps / picked.every_nth, audio)


def _sound(audio: dict[str, Any] | None, start: Fraction, seconds: Fraction | None) -> dict[str, Any] | None:
    if audio is None:
        return None
    rate = audio["sample_rate"]
    begin = round(start * rate)
    end = None if seconds is None else begin + round(seconds * rate)
    return {"waveform": audio["waveform"][..., begin:end], "sample_rate": rate}


def _smaller(frames: Any, longest_side_px: int) -> Any:
    height_px, width_px = frames.shape[1:3]
    longest = max(height_px, width_px)
    if not longest_side_px or longest <= longest_side_px:
        return frames
    from torch.nn.functional import interpolate  # noqa: PLC0415 - ComfyUI's frames are tensors, and torch is large

    size = [max(1, round(side * longest_side_px / longest)) for side in (height_px, width_px)]
    return interpolate(frames.movedim(-1, 1), size=size, mode="area").movedim(1, -1).contiguous()
