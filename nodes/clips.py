"""ComfyUI's VIDEO as a reference video or as frames. Everything here blocks: it runs in threads."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_once.jobs.job import VideoFile, VideoFrames
from ..kling_once.media.types import Frames, TrimWindow
from .host import InputImpl, temp_folder, temp_folder_full

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

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
