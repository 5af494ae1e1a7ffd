"""A picture file in memory without its private parts: pixels and colour tags stay, everything else goes.

Sources: JPEG ITU-T T.81 annex B and EXIF 2.32; PNG third edition, W3C; HEIF ISO/IEC 23008-12, 6.5.5.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from .private_boxes import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIENTATION_TAG = 0x0112  # EXIF 2.32, 4.6.4
DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    *(LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
)
"""What Pillow's readers of formats and of EXIF raise for malformed files."""

_JPEG, PNG_SIGNATURE = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_SOS, _EOI, _COMMENT, _APP0, _APP1, _APP2, _APP14, _LAST_APP = 0xDA, 0xD9, 0xFE, 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_APP_NAMES = {
    (_APP1, b"http://ns.adobe.com/xap"): "XMP",
    (_APP1, b"http://ns.adobe.com/xmp"): "XMP",
    (_APP2, b"MPF\0"): "further pictures",
    (0xED, b"Photoshop"): "IPTC",
    (0xEB, b"JP"): "provenance (C2PA)",
    (_APP0, b"JFXX"): "a thumbnail",
}
_PICTURE_MARKERS = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD, 0xDE, 0xDF})  # T.81, table B.1
_ADOBE_BYTES = 12
_EXIF_HEAD = b"Exif\0\0"
_ORIENTATION_BYTES = (
    len(_EXIF_HEAD) + 8 + 2 + 12 + 4
)  # of a segment with that one entry and nothing behind it
_EXIF_NAMES = {0x8825: "the place it was taken", 0x010E: "a description", 0x013B: "an artist"}
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PICTURE_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA sRGB iCCP cICP mDCV cLLI sBIT bKGD hIST pHYs acTL fcTL fdAT".split()
)
_CHUNK_NAMES = {b"tIME": "the time it was changed", b"caBX": "provenance (C2PA)"}
_HEIF_COLORS, _HEIF_PROFILE = re.compile(rb"colrnclx(.{4})", re.DOTALL), re.compile(rb"colr(prof|rICC)")
_MOST_PROFILE_BYTES = 1 << 25
_SHOWN_WORDS = 6


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture file as it may be sent."""

    name: str
    """Of the file, for messages."""
    data: bytes = field(repr=False)
    """Without private parts in a JPEG and a PNG; of other formats only the pixels are ever sent."""
    private: tuple[str, ...] = ()
    """What was left out, in words."""
    is_clean: bool = True
    """Nothing private is left; False where only the pixels are understood, and not the file's structure."""
    profile: bytes | None = field(default=None, repr=False)
    """A PNG's ICC profile."""
    cicp: tuple[int, int] | None = None
    """The numbers of primaries and transfer curve (ITU-T H.273) of a PNG, an AVIF or a HEIC."""

    @classmethod
    def of(cls, name: str, data: bytes) -> PictureFile:
        """Return a file's content without its private parts."""
        try:
            if data.startswith(_JPEG):
                kept, private = _sorted_parts(_jpeg_parts(data))
                return cls(name, data if not private else kept, private)
            if data.startswith(PNG_SIGNATURE):
                return _png(name, data)
            if data[4:8] == b"ftyp":
                return cls(name, data, cicp=_heif_numbers(data))
        except DAMAGED:
            return cls(name, data, is_clean=False)
        return cls(name, data)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for what was left out."""
        if not self.private:
            return ()
        return (f"Left out of what is sent: {', '.join(self.private)}.",)

    @property
    def pixel_data(self) -> bytes:
        """Return what Pillow reads: it refuses a PNG with a large profile, and calls it damaged."""
        if self.profile is None or not self.data.startswith(PNG_SIGNATURE):
            return self.data
        return PNG_SIGNATURE + b"".join(chunk for kind, chunk, _ in _chunks(self.data) if kind != b"iCCP")


def _sorted_parts(parts: Iterator[tuple[bytes, str]]) -> tuple[bytes, tuple[str, ...]]:
    """Return what is kept as one, and the names of what is not, each once."""
    kept: list[bytes] = []
    private: dict[str, None] = {}
    for part, names in parts:
        kept.append(part)
        private.update(dict.fromkeys(name for name in names.split(", ") if name))
    return b"".join(kept), tuple(private)


def _jpeg_parts(data: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield what stays of each part of a JPEG, and the names of what does not.

    Raises:
        ValueError, IndexError, struct.error: It is not a JPEG from its start to its end.
    """
    yield _JPEG, ""
    at = len(_JPEG)
    while True:
        begin = at
        if data[at] != 0xFF:  # noqa: PLR2004 - every marker begins so
            raise ValueError("a marker is missing")
        while data[at] == 0xFF:  # noqa: PLR2004 - likewise
            at += 1
        marker = data[at]
        at += 1
        if marker == _EOI:
            yield b"\xff\xd9", "data after the picture" if data[at:].strip(b"\0\xff\r\n ") else ""
            return
        if marker in _NO_LENGTH:
            yield data[begin:at], ""
            continue
        (length,) = struct.unpack_from(">H", data, at)
        body = data[at + 2 : at + length]
        if len(body) != length - 2:
            raise ValueError("a segment is cut off")
        at += length
        if marker == _SOS:
            found = _AFTER_SCAN.search(data, at)
            if found is None:
                raise ValueError("the end is missing")
            at = found.start()
            yield data[begin:at], ""
        else:
            yield _segment_part(marker, body, data[begin:at])


def _segment_part(marker: int, body: bytes, whole: bytes) -> tuple[bytes, str]:
    if marker in _PICTURE_MARKERS:
        return whole, ""
    if marker == _COMMENT:
        return b"", "a comment"
    if not _APP0 <= marker <= _LAST_APP:
        raise ValueError("a segment is of no known kind")
    if marker == _APP14 and body.startswith(b"Adobe") and len(body) > _ADOBE_BYTES:
        return _segment(marker, body[:_ADOBE_BYTES]), "application data (APP14)"
    return _application_part(marker, body, whole)


def _application_part(marker: int, body: bytes, whole: bytes) -> tuple[bytes, str]:
    if marker == _APP0 and body.startswith(b"JFIF\0"):
        is_plain = len(body) == 14 and not any(body[12:14])  # noqa: PLR2004 - without a thumbnail
        return (whole, "") if is_plain else (_segment(marker, body[:12] + b"\0\0"), "a thumbnail")
    if (marker == _APP2 and body.startswith(b"ICC_PROFILE\0")) or (
        marker == _APP14 and body.startswith(b"Adobe")
    ):
        return whole, ""
    if marker == _APP1 and body.startswith(_EXIF_HEAD):
        return _exif_part(body, whole)
    names = (name for (kind, head), name in _APP_NAMES.items() if kind == marker and body.startswith(head))
    return b"", next(names, f"application data (APP{marker - _APP0})")


def _exif_part(body: bytes, whole: bytes) -> tuple[bytes, str]:
    """Return a segment with nothing but the orientation, which the pixels need, and what else there was."""
    exif = Image.Exif()
    try:
        exif.load(body)
        found = dict(exif)
    except DAMAGED:
        return b"", "EXIF"
    if set(found) == {ORIENTATION_TAG} and len(body) <= _ORIENTATION_BYTES:
        return whole, ""  # longer ones hold a thumbnail, or what an editor left behind
    orientation = found.get(ORIENTATION_TAG)
    names = ", ".join(["EXIF", *(name for tag, name in _EXIF_NAMES.items() if tag in found)])
    if not isinstance(orientation, int) or orientation not in range(2, 9):
        return b"", names
    upright = Image.Exif()
    upright[ORIENTATION_TAG] = orientation
    return _segment(_APP1, upright.tobytes()), names


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the kind, the whole and the body of each chunk of a PNG up to its end.

    Raises:
        ValueError, struct.error: A chunk is cut off, or there is no end.
    """
    at = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length + 12
        if end > len(data):
            raise ValueError("a chunk is cut off")
        yield kind, data[at:end], data[at + 8 : end - 4]
        at = end
    if data[at:].strip(b"\0\r\n "):
        yield b"", b"", data[at:]


def _png(name: str, data: bytes) -> PictureFile:
    kept, private, words = [PNG_SIGNATURE], {}, []
    profile = cicp = None
    for kind, chunk, body in _chunks(data):
        if kind in _TEXT_CHUNKS:
            words.append(_shown(body.split(b"\0", 1)[0]))
        elif kind == b"eXIf":
            part, names = _exif_part(_EXIF_HEAD + body, chunk)
            private.update(dict.fromkeys(names.split(", ") if names else ()))
            kept.append(_chunk(kind, part[10:]) if part and part is not chunk else part)
        elif kind in _PICTURE_CHUNKS:
            kept.append(chunk)
        else:
            fallback = f"data of the kind {_shown(kind)}" if kind else "data after the picture"
            private[_CHUNK_NAMES.get(kind, fallback)] = None
        if kind == b"iCCP":
            try:
                profile = zlib.decompressobj().decompress(body.split(b"\0", 1)[1][1:], _MOST_PROFILE_BYTES)
            except (zlib.error, IndexError):
                kept.pop()
                private["a damaged colour profile"] = None
        if kind == b"cICP":
            cicp = (body[0], body[1])
    if words:
        shown = list(dict.fromkeys(words))
        more = f" and {len(shown) - _SHOWN_WORDS} more" if len(shown) > _SHOWN_WORDS else ""
        private = {f"text ({', '.join(shown[:_SHOWN_WORDS])}{more})": None, **private}
    return PictureFile(name, b"".join(kept) if private else data, tuple(private), profile=profile, cicp=cicp)


def _heif_numbers(data: bytes) -> tuple[int, int] | None:
    """Return the numbers that stand for the colours of an AVIF or a HEIC, unless it has an ICC profile."""
    for kind, begin, end in boxes(io.BytesIO(data), 0, len(data)):
        if kind == "meta":
            found = set(_HEIF_COLORS.findall(data, begin, end))
            if len(found) == 1 and not _HEIF_PROFILE.search(data, begin, end):
                return struct.unpack(">2H", found.pop())
    return None


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _shown(word: bytes) -> str:
    return "".join(char for char in word.decode("latin-1") if char.isprintable())[:30] or "?"
