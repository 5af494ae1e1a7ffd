"""A user's file: opened, read once, watched for writes, its streams found; foreign errors become ours."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import av
from av.error import DecoderNotFoundError, EncoderNotFoundError, FFmpegError

from ..errors import DiskFull, InputChanged, MediaError, MediaStopped, UnreadableMedia
from ..files import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream
    from blake3 import blake3

    from .types import Stop

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h): cover art, not motion
_READS_ANY_TAG = int(av.__version__.split(".")[0]) >= 19  # noqa: PLR2004 - PyAV's own version
_ANY_TAG: dict[str, Any] = {} if _READS_ANY_TAG else {"metadata_errors": "ignore"}
"""A title that is not UTF-8 is no reason to refuse a clip; PyAV 19 ignores it and has no such argument."""
_NO_CLIPS = frozenset(
    {"hls", "dash", "concat", "imf", "sdp", "lavfi", "vapoursynth", "tty", "bin", "xbin", "adf", "idf"}
)
"""FFmpeg's names of what leads to other files, unknown to the job key, and of text drawn as video."""
NO_TIMES = 0x0080
"""AVFMT_NOTIMESTAMPS (libavformat/avformat.h): a raw stream, in which FFmpeg cannot seek by time either."""
_DEFAULT_TRACK = 0x0001  # AV_DISPOSITION_DEFAULT; in MP4 and MOV also: the track is enabled
_MOST_THREADS = 8  # more only cost memory at 720p to 4K
_TRY_AGAIN = "Play it in a video player; if that fails too, export or download it again."


def check_stop(stop: Stop | None) -> None:
    """Do nothing unless the caller asked to stop."""
    if stop is not None and stop():
        raise MediaStopped("Stopped on request; no file was left behind.")


def unreadable(error: Exception, path: Path) -> MediaError | DiskFull:
    """Return the error to raise for one of PyAV or of the system that concerns `path`."""
    code = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) or code == errno.ENOENT:
        return UnreadableMedia(f"{path.name} does not exist.", hint="Choose the file again.")
    if code in _DISK_FULL:
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


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Translate PyAV's errors, and a full disk, inside the block: `path` is the file that they concern."""
    try:
        yield
    except FFmpegError as error:
        raise unreadable(error, path) from error
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise unreadable(error, path) from error


def require_file(path: Path, what: str, way_out: str) -> None:
    """Do nothing for a file that holds something.

    Args:
        path: Of the file.
        what: It should be, for the message: "picture", "video".
        way_out: The error's hint.

    Raises:
        UnreadableMedia: It is missing, a folder, a device, a pipe or empty, or may not be looked at.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(error, path) from error
    except OSError as error:
        reason = f"{path.name} cannot be opened: {error.strerror}."
        raise UnreadableMedia(reason, hint="Choose the file again.") from error
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableMedia(f"{path} is a folder, not a {what}.", hint=way_out)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableMedia(f"{path} is a device or a pipe, not a file.", hint=way_out)
    if not status.st_size:
        raise UnreadableMedia(f"{path.name} is empty (0 bytes).", hint="Export or download it again.")


def changed(name: str) -> InputChanged:
    """Return the error for a file or folder that was written while it was read."""
    return InputChanged(
        f"{name} changed while it was read.",
        hint="Nothing was submitted. Run again once it is complete.",
    )


@contextmanager
def open_unchanging(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading and require that nobody writes to it inside the block.

    Raises:
        OSError: The file cannot be opened.
        InputChanged: At the end of the block, the open file has another size, modification time or inode
            than at the start, or `path` names another file or none.
    """
    with path.open("rb") as file:
        before = _identity(os.fstat(file.fileno()))
        yield file
        try:
            now = _identity(path.stat())
        except FileNotFoundError as error:
            raise changed(path.name) from error
        if not before == _identity(os.fstat(file.fileno())) == now:
            raise changed(path.name)


def read_pieces(path: Path, *, stop: Stop | None = None) -> Generator[bytes, None, None]:
    """Yield a file in pieces of at most 1 MiB, from one pass over one open descriptor.

    Raises:
        UnreadableMedia: The file cannot be opened or read.
        InputChanged: After the last piece, when the file was written meanwhile.
    """
    require_file(path, "file", "Choose the file again.")
    try:
        with open_unchanging(path) as file:
            while piece := file.read(CHUNK_BYTES):
                check_stop(stop)
                yield piece
    except OSError as error:
        raise unreadable(error, path) from error


def copy_file(source: Path, target: Path, *hashers: blake3, stop: Stop | None = None) -> int:
    """Copy a file into a new one of mode 0600 and feed its bytes to `hashers`, in one pass.

    `target` is removed on failure.

    Returns:
        The size in bytes.

    Raises:
        FileExistsError: `target` exists; it is left as it is.
        UnreadableMedia: `source` cannot be opened or read.
        InputChanged: `source` was written meanwhile.
        DiskFull: There is no room for the copy.
    """
    size_bytes = 0
    descriptor = os.open(target, _NEW_FILE, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as copy, closing(read_pieces(source, stop=stop)) as pieces:
            for piece in pieces:
                copy.write(piece)
                for hasher in hashers:
                    hasher.update(piece)
                size_bytes += len(piece)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise unreadable(error, target) from error
        raise
    return size_bytes


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


@contextmanager
def open_clip(path: Path) -> Iterator[InputContainer]:
    """Open a clip for demuxing; PyAV's errors inside the block are translated too.

    Raises:
        UnreadableMedia: The file is missing, empty, damaged or no clip: a playlist, a script or a text too.
    """
    with translating(path):
        require_file(path, "video", "Choose a video file.")
        # an absolute path, since FFmpeg takes "take:1.mp4" for a protocol
        with av.open(str(path.absolute()), mode="r", **_ANY_TAG) as container:
            if container.format.name.split(",")[0] in _NO_CLIPS:
                raise UnreadableMedia(
                    f"{path.name} is a playlist or a text, not a video.", hint="Choose a video file."
                )
            yield container


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream of moving pictures that a player shows: the largest default one, else the largest.

    Cover art and disabled tracks are none.

    Raises:
        UnreadableMedia: There is none, or FFmpeg has no decoder for it.
    """
    streams = [stream for stream in container.streams.video if not _disposition(stream) & _ATTACHED_PICTURE]
    if not streams:
        raise UnreadableMedia(
            f"{path.name} holds no moving picture, only sound or data.", hint="Choose a video file."
        )
    readable = [stream for stream in streams if stream.codec_context is not None]  # else without a decoder
    if not readable:
        raise UnreadableMedia(
            f"{path.name} is in a format that this FFmpeg cannot decode.", hint="Export it as H.264 MP4."
        )
    return max(readable, key=_prominence)


def _prominence(stream: VideoStream) -> tuple[bool, int]:
    context = stream.codec_context
    return bool(_disposition(stream) & _DEFAULT_TRACK), context.width * context.height


def _disposition(stream: Stream) -> int:
    return int(getattr(stream, "disposition", 0))  # PyAV 14.0 has none


def has_presentation_times(container: InputContainer) -> bool:
    """Tell whether packets say when their frames are shown; in AVI and raw streams they do not."""
    return container.format.name != "avi" and not container.format.flags & NO_TIMES


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


def tick(stream: Stream) -> Fraction:
    """Return a stream's time base in seconds; a millisecond where it has none."""
    base = stream.time_base  # not a Fraction from PyAV 19 on, and 0 rather than None
    return Fraction(base.numerator, base.denominator) if base else Fraction(1, 1000)


def codec_threads() -> int:
    """Return how many threads a decoder or encoder gets: one for each core, at most 8."""
    return min(_MOST_THREADS, os.cpu_count() or 1)
