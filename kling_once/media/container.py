"""Opening clips: the one place where PyAV's errors become ours."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from fractions import Fraction
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

import av
from av.error import DecoderNotFoundError, EncoderNotFoundError, FFmpegError

from ..errors import (
    DiskFull,
    MediaError,
    MediaStopped,
    UnreadableMedia,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

    from .types import Stop

ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC: cover art, which is not motion
DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_READS_ANY_TAG = int(av.__version__.split(".")[0]) >= 19  # noqa: PLR2004 - PyAV's own version
_ANY_TAG: dict[str, Any] = {} if _READS_ANY_TAG else {"metadata_errors": "ignore"}
"""A title that is no UTF-8 is no reason to refuse a clip; PyAV 19 agrees, and has no such argument."""
_TRY_AGAIN = "Play it in a video player; if that fails too, export or download it again."


def check_stop(stop: Stop | None) -> None:
    """Raise `MediaStopped` when the caller asked to stop."""
    if stop is not None and stop():
        raise MediaStopped("Stopped on request; no file was left behind.")


def unreadable(error: Exception, path: Path) -> MediaError | DiskFull:
    """Translate an error of PyAV into ours, in words for people."""
    code = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) or code == errno.ENOENT:
        return UnreadableMedia(f"{path.name} does not exist.", hint="Choose the file again.")
    if code in DISK_FULL:
        return DiskFull(f"The disk filled up while {path.name} was written.", hint="Free some space.")
    if isinstance(error, PermissionError):
        return UnreadableMedia(f"{path.name} may not be opened.", hint="Check the file's permissions.")
    if isinstance(error, DecoderNotFoundError):
        return UnreadableMedia(
            f"{path.name} is in a format that this FFmpeg cannot decode.", hint="Export it as H.264 MP4."
        )
    if isinstance(error, EncoderNotFoundError):
        return UnreadableMedia(
            f"{path.name} cannot be written: this PyAV has no H.264 or AAC encoder.",
            hint="Install PyAV from PyPI (pip install av).",
        )
    return UnreadableMedia(f"{path.name} is damaged, cut off, or not a video.", hint=_TRY_AGAIN)


def file_status(path: Path) -> os.stat_result:
    """Return what the system knows of a file. Raises `UnreadableMedia`."""
    try:
        return path.stat()
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(error, path) from error
    except OSError as error:
        reason = f"{path.name} cannot be opened: {error.strerror}."
        raise UnreadableMedia(reason, hint="Choose the file again.") from error


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Raise our errors for PyAV's while something is done with `path`."""
    try:
        yield
    except FFmpegError as error:
        raise unreadable(error, path) from error


@contextmanager
def open_clip(path: Path) -> Iterator[InputContainer]:
    """Open a clip for reading; PyAV's errors inside the block are translated too."""
    with translating(path):
        status = file_status(path)
        if S_ISREG(status.st_mode) and not status.st_size:
            raise UnreadableMedia(f"{path.name} is empty (0 bytes).", hint="Export or download it again.")
        # FFmpeg takes "take:1.mp4" for a protocol
        with av.open(str(path.absolute()), mode="r", **_ANY_TAG) as container:
            yield container


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first stream of moving pictures, which cover art is not."""
    for stream in container.streams.video:
        if not int(getattr(stream, "disposition", 0)) & ATTACHED_PICTURE:  # PyAV 14.0 cannot tell
            if stream.codec_context is None:  # PyAV's way to say that it has no decoder
                raise UnreadableMedia(
                    f"{path.name} is in a format that this FFmpeg cannot decode.",
                    hint="Export it as H.264 MP4.",
                )
            return stream
    raise UnreadableMedia(
        f"{path.name} holds no moving picture, only sound or data.", hint="Choose a video file."
    )


def tick(stream: Stream) -> Fraction:
    """Return the seconds that a stream counts in; a millisecond where it does not say."""
    base = stream.time_base  # from PyAV 19 on no Fraction, and 0 rather than None
    return Fraction(base.numerator, base.denominator) if base else Fraction(1, 1000)


def sound_stream(container: InputContainer) -> AudioStream | None:
    """Return the first sound track that can be decoded; a phone's second, spatial one cannot."""
    return next(
        (
            stream
            for stream in container.streams.audio
            if stream.codec_context is not None
            and stream.codec_context.sample_rate
            and stream.codec_context.layout.nb_channels
        ),
        None,
    )
