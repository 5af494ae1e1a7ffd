"""ComfyUI's VIDEO as a reference video or as frames. Everything here blocks: it runs in threads."""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_direct.jobs.job import VideoFile, VideoFrames
from ..kling_direct.media.types import Frames, TrimWindow
from .host import InputImpl, temp_folder

if TYPE_CHECKING:
    import io

LARGEST_DENOMINATOR = 1001
"""Of the frame rates that exist: 30000/1001 and the like."""


def clip_of(video: Any) -> VideoFile | VideoFrames:
    """Return a VIDEO without decoding it: its file and its trim, or the frames that it holds."""
    if isinstance(video, InputImpl.VideoFromComponents):
        parts = video.get_components()
        return VideoFrames(Frames(parts.images, Fraction(parts.frame_rate), parts.audio))
    if not hasattr(video, "get_active_trim_window"):
        return VideoFile(_saved(video))  # ComfyUI before 0.23: only saving honours a trim
    source = video.get_stream_source()
    path = Path(source) if isinstance(source, (str, os.PathLike)) else _written(source)
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
        path = temp_folder() / f"clip_{hashlib.sha256(data).hexdigest()[:32]}.mp4"
        if not path.is_file() or path.stat().st_size != len(data):
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(data)
            part.replace(path)
    return path


def _saved(video: Any) -> Path:
    part = temp_folder() / f"clip_{id(video):x}_{os.getpid()}.part.mp4"
    video.save_to(str(part))
    digest = hashlib.sha256(part.read_bytes()).hexdigest()[:32]
    return part.replace(part.with_name(f"clip_{digest}.mp4"))
