"""Chosen frames of a VIDEO. Everything here blocks: it runs in a thread."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_once.errors import UnreadableMedia
from ..kling_once.media.decode import decode_clip
from ..kling_once.media.probe import probe_clip
from ..kling_once.media.types import Frames, TrimWindow
from ..kling_once.order import VideoFile, VideoFrames
from .host import InputImpl, temp_folder, temp_folder_full

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

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


LARGEST_DENOMINATOR = 1001
"""Of the frame rates that exist: 30000/1001 and the like."""
_WRITING = threading.Lock()
"""Items of a list, and nodes side by side, bring the same clip at the same time."""


def clip_of(video: Any) -> VideoFile | VideoFrames:
    """Return a VIDEO without decoding it: its file and its trim, or the frames that it holds."""
    if isinstance(video, InputImpl.VideoFromComponents):
        parts = video.get_components()
        return VideoFrames(Frames(parts.images, Fraction(parts.frame_rate), parts.audio))
    source = video.get_stream_source()
    path = Path(source) if isinstance(source, (str, os.PathLike)) else _written(source)
    if not hasattr(video, "get_active_trim_window"):  # ComfyUI before 0.23: only saving honours a trim
        is_whole = video.get_duration() == InputImpl.VideoFromFile(str(path)).get_duration()
        return VideoFile(path if is_whole else _saved(video))
    start_seconds, duration_seconds = video.get_active_trim_window()
    if not start_seconds and not duration_seconds:
        return VideoFile(path)
    return VideoFile(path, TrimWindow(start_seconds, duration_seconds))


def frames_clip(frames: Any, fps: float, audio: Any) -> VideoFrames:
    """Return IMAGE frames with their rate and sound."""
    return VideoFrames(Frames(frames, Fraction(fps).limit_denominator(LARGEST_DENOMINATOR), audio))


def _written(source: io.BytesIO) -> Path:
    """Write a clip in memory to a file named by its content; it stays until ComfyUI empties its folder."""
    with source.getbuffer() as data:
        digest = hashlib.sha256(data).hexdigest()
        with _part() as part:
            path = _named(part, digest)
            if not path.is_file():
                part.write_bytes(data)
                part.replace(path)
    return path


def _saved(video: Any) -> Path:
    with _part() as part:
        video.save_to(str(part))
        path = _named(part, hashlib.sha256(part.read_bytes()).hexdigest())
        if not path.is_file():
            part.replace(path)
    return path


def _named(part: Path, digest: str) -> Path:
    return part.with_name(f"clip_{digest[:32]}.mp4")


@contextmanager
def _part() -> Iterator[Path]:
    """Give a new file to write a clip to, one at a time; gone afterwards unless it was renamed.

    Raises:
        DiskFull: the temp folder takes no more.
    """
    with _WRITING:
        part = None
        try:
            handle, name = tempfile.mkstemp(".part.mp4", "clip_", temp_folder())
            os.close(handle)
            part = Path(name)
            yield part
        except OSError as error:
            raise temp_folder_full(error) from None
        finally:
            if part is not None:
                part.unlink(missing_ok=True)
