"""Put tags into an MP4 as FFmpeg's `use_metadata_tags` writes them; everything else in it stays as it is.

Sources: ISO/IEC 14496-12 (MP4), Apple's QuickTime File Format (metadata keys).
"""

from __future__ import annotations

import shutil
import struct
from hashlib import blake2b
from itertools import zip_longest
from typing import TYPE_CHECKING, BinaryIO

from av.error import FFmpegError

from ..errors import MediaError
from .private_boxes import boxes
from .reader import demuxed
from .source import open_clip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_TOP = frozenset({"ftyp", "moov", "mdat", "free", "skip", "wide", "uuid", "meta"})
"""Boxes that name no place in the file, but for those within `moov`. A fragmented file has others."""
_MOST_BYTES = 1 << 26  # of a `moov`: hours of frames
_HOLDERS = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
_OFFSETS = {b"stco": ">I", b"co64": ">Q"}
_UTF8 = 1  # the type of a tag's value


class _OtherForm(Exception):
    """A file whose boxes are not laid out as this module knows them."""


def tag_mp4(source: Path, target: Path, tags: Mapping[str, str]) -> bool:
    """Copy an MP4 with tags put into it, and tell whether that could be done.

    Every packet of the copy is the source's, with its times, which is checked; else `target` is removed. A
    fragmented file, or one whose boxes are of another form, is not copied.

    Args:
        source: The MP4; it is only read.
        target: The file to write.
        tags: Texts by their names.

    Raises:
        OSError: A file cannot be read or written; `target` is removed.
    """
    try:
        _write(source, target, tags)
        if _has(target, tags) and _holds_the_same(source, target):
            return True
    except (_OtherForm, MediaError, FFmpegError, struct.error):
        pass
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    target.unlink(missing_ok=True)
    return False


def _write(source: Path, target: Path, tags: Mapping[str, str]) -> None:
    with source.open("rb") as file:
        found = list(boxes(file, 0, source.stat().st_size))
        movies = [(begin, end) for kind, begin, end in found if kind == "moov"]
        if len(movies) != 1 or not {kind for kind, _begin, _end in found} <= _TOP:
            raise _OtherForm
        begin, end = movies[0]
        file.seek(begin - 8)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind != b"moov" or size != end - begin + 8 or size > _MOST_BYTES:
            raise _OtherForm
        movie = bytearray(file.read(end - begin))
        added = _user_data(tags)
        _shift(movie, end, len(added))
        parts = _children(movie, 0, len(movie))
        place = next((at for name, at, _content, _stop in parts if name == b"udta"), len(movie))
        movie[place:place] = added  # before another one: readers take the first
        with target.open("wb") as copy:
            file.seek(0)
            _copy(file, copy, begin - 8)
            copy.write(struct.pack(">I4s", len(movie) + 8, b"moov"))
            copy.write(movie)
            file.seek(end)
            shutil.copyfileobj(file, copy, 1 << 20)


def _copy(file: BinaryIO, copy: BinaryIO, size: int) -> None:
    while size > 0:
        piece = file.read(min(size, 1 << 20))
        if not piece:
            raise _OtherForm
        copy.write(piece)
        size -= len(piece)


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _user_data(tags: Mapping[str, str]) -> bytes:
    """Return a `udta` box with the tags as metadata keys."""
    keys = [_box(b"mdta", name.encode()) for name in tags]
    values = [
        _box(struct.pack(">I", number), _box(b"data", struct.pack(">II", _UTF8, 0), text.encode()))
        for number, text in enumerate(tags.values(), 1)
    ]
    handler = _box(b"hdlr", bytes(8), b"mdta", bytes(13))
    listed = _box(b"keys", bytes(4), struct.pack(">I", len(keys)), *keys)
    return _box(b"udta", _box(b"meta", bytes(4), handler, listed, _box(b"ilst", *values)))


def _children(data: bytearray, begin: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield kind, start, start of the content and end of each box."""
    at = begin
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:  # noqa: PLR2004 - of a head
            raise _OtherForm
        yield kind, at, at + 8, at + size
        at += size


def _shift(movie: bytearray, after: int, by: int) -> None:
    """Move every place in the file that lies behind the `moov` box by some bytes."""

    def look(begin: int, end: int) -> None:
        for kind, _start, content, stop in _children(movie, begin, end):
            if kind in _HOLDERS:
                look(content, stop)
            elif kind in _OFFSETS:
                form = _OFFSETS[kind]
                (count,) = struct.unpack_from(">I", movie, content + 4)
                places = f">{count}{form[1]}"
                if content + 8 + struct.calcsize(places) > stop:
                    raise _OtherForm
                old = struct.unpack_from(places, movie, content + 8)
                new = [place + by if place >= after else place for place in old]
                struct.pack_into(places, movie, content + 8, *new)  # too large a one is a struct.error

    look(0, len(movie))


def _has(path: Path, tags: Mapping[str, str]) -> bool:
    with open_clip(path) as container:
        return all(container.metadata.get(name) == text for name, text in tags.items())


def _holds_the_same(source: Path, target: Path) -> bool:
    return all(one == other for one, other in zip_longest(_packets(source), _packets(target)))


def _packets(path: Path) -> Iterator[tuple[object, ...]]:
    with open_clip(path) as container:
        for packet in demuxed(container, stop=None):
            yield (
                packet.stream_index,
                packet.pts,
                packet.dts,
                packet.duration,
                blake2b(bytes(packet)).digest(),
            )
