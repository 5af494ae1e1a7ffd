"""Chosen frames of a VIDEO. Everything here blocks: it runs in a thread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..kling_once.errors import UnreadableMedia
from ..kling_once.jobs.job import VideoFrames
from ..kling_once.media.decode import decode_clip
from ..kling_once.media.probe import probe_clip
from ..kling_once.media.types import Frames
from .clips import clip_of

if TYPE_CHECKING:
    from ..kling_once.jobs.job import VideoFile
    from ..kling_once.media.types import Stop


@dataclass(frozen=True, slots=True)
class Picked:
    """Which frames, and how large."""

    start_seconds: float
    count: int
    """0 is all."""
    every_nth: int
    longest_side_px: int
    """0 is as they are."""


def picked_frames(video: Any, picked: Picked, *, stop: Stop) -> Frames:
    """Return frames and their sound.

    Raises:
        UnreadableMedia: there is no frame there, or no video.
        NotEnoughMemory: they would not fit.
        MediaStopped: `stop` said so.
    """
    clip = clip_of(video)
    if isinstance(clip, VideoFrames):
        return _of_frames(clip.frames, picked)
    return _of_file(clip, picked, stop)


def _of_file(clip: VideoFile, picked: Picked, stop: Stop) -> Frames:
    start, count = Fraction(picked.start_seconds), picked.count
    if clip.window is not None:
        start += Fraction(clip.window.start_seconds)
        if clip.window.duration_seconds:
            count = _count_within(clip, picked, Fraction(clip.window.duration_seconds))
    return decode_clip(
        clip.path,
        start_seconds=start,
        count=count,
        every_nth=picked.every_nth,
        longest_side_px=picked.longest_side_px,
        stop=stop,
    )


def _count_within(clip: VideoFile, picked: Picked, duration: Fraction) -> int:
    """Return how many frames are wanted when a trim ends before the file does."""
    left = duration - Fraction(picked.start_seconds)
    room = math.ceil(left * probe_clip(clip.path).frame_rate / picked.every_nth)
    if room < 1:
        raise UnreadableMedia(
            f"The trimmed video ends after {float(duration):g} s, before the first wanted frame.",
            hint="Start earlier.",
        )
    return min(room, picked.count) if picked.count else room


def _of_frames(source: Frames, picked: Picked) -> Frames:
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
    from torch.nn.functional import interpolate  # noqa: PLC0415 - nothing heavy before a node runs

    size = [max(1, round(side * longest_side_px / longest)) for side in (height_px, width_px)]
    return interpolate(frames.movedim(-1, 1), size=size, mode="area").movedim(1, -1).contiguous()
