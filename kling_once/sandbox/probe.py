"""Look at a reference file: is it what the page allows, and how large and long is it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from .rules import ClipFacts, PictureFacts

if TYPE_CHECKING:
    from pathlib import Path

DECODED_MAX_PX: Final = 100_000_000
"""Larger pictures are judged by their header alone: decoding one would take a gigabyte."""

MISSING_SHARE: Final = 0.05


STILLS: Final = frozenset({b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"})
"""Brands of pictures in an MP4-like box structure."""


class Unreadable(Exception):
    """A file is not what it should be; the text says why."""


def probe_picture(path: Path, size_bytes: int) -> PictureFacts:
    """Open a JPEG or PNG and read it to its end; `Unreadable` says what is wrong."""
    picture = open_picture(path)
    try:
        width, height = picture.size
        if width * height <= DECODED_MAX_PX:
            try:
                picture.load()
            except (OSError, ValueError, SyntaxError, IndexError) as error:
                raise Unreadable(f"the image is damaged ({error})") from None
    finally:
        picture.close()
    return PictureFacts(size_bytes, width, height)


def open_picture(path: Path) -> Any:
    """Open a JPEG or PNG by content; the header is read, nothing is decoded."""
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415 - heavy, needed only here
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415

    with path.open("rb") as file:
        head = file.read(8)
    readers = {b"\xff\xd8\xff": JpegImageFile, b"\x89PNG\r\n\x1a\n": PngImageFile}
    for magic, reader in readers.items():
        if head.startswith(magic):
            try:
                return reader(str(path))
            except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
                raise Unreadable(f"the image is damaged ({error})") from None
    raise Unreadable("the image format must be .jpg, .jpeg or .png")


def probe_clip(path: Path) -> ClipFacts:
    """Open an MP4 or MOV and walk through its packets; `Unreadable` says what is wrong."""
    import av  # noqa: PLC0415 - heavy, needed only here
    import av.error  # noqa: PLC0415

    _check_container(path)
    # a title that is no UTF-8 is nobody's concern; PyAV 19 has no such argument any more
    lenient: Any = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}  # noqa: PLR2004
    try:
        with av.open(str(path), **lenient) as container:
            if "mp4" not in container.format.name:
                raise Unreadable("Video format is invalid: must be .mp4 or .mov")
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise Unreadable("Video format is invalid: no picture track")
            end = _walk(container, stream)
            lengths = [Fraction(container.duration or 0, av.time_base)]
            if stream.duration and stream.time_base:
                lengths.append(stream.duration * stream.time_base)
            width, height = stream.width, stream.height
            has_sound = bool(container.streams.audio)
    except (av.error.FFmpegError, ValueError) as error:
        raise Unreadable(f"Video format is invalid ({_words(error)})") from None
    seconds = max(lengths) if max(lengths) > 0 else end
    return ClipFacts(path.stat().st_size, width, height, seconds, has_sound)


def _check_container(path: Path) -> None:
    """Refuse by the first bytes what FFmpeg's one reader for the whole family would open."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and (head[8:10] == b"3g" or head[8:12] in STILLS):
        raise Unreadable("Video format is invalid: must be .mp4 or .mov")


def _walk(container: Any, stream: Any) -> Fraction:
    """Read every packet of the picture track and decode the first; return where the last one ends."""
    packets, end, decoded = 0, Fraction(0), False
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        packets += 1
        decoded = decoded or bool(packet.decode())
        if packet.pts is not None:
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    decoded = decoded or bool(stream.codec_context.decode(None))
    if not decoded:
        raise Unreadable("Video format is invalid: no picture can be decoded")
    if packets < stream.frames * (1 - MISSING_SHARE):
        raise Unreadable(f"the video is cut off: {packets} of {stream.frames} frames are there")
    return end


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
