"""Private data in a clip's file: all that is neither pictures, sound, their times nor their colours.

Sources: ISO/IEC 14496-12 (MP4), Apple's QuickTime File Format.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from .user_data import USER_DATA, UserData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_TOP = frozenset({"ftyp", "moov", "mdat", "moof", "mfra", "sidx", "styp", "ssix", "pdin"})
_SAMPLE_TABLES = frozenset(
    {"stsd", "stts", "ctts", "cslg", "stsc", "stsz", "stz2", "stco", "co64", "stss", "stsh", "stps", "sdtp"}
)
_SAMPLE_GROUPS = frozenset({"sgpd", "sbgp", "subs", "saiz", "saio"})
_PLAIN = {
    "moov": frozenset({"mvhd", "trak", "mvex", "iods"}),
    "trak": frozenset({"tkhd", "edts", "mdia", "tref", "tapt", "clip", "load"}),
    "mdia": frozenset({"mdhd", "hdlr", "minf", "elng"}),
    "edts": frozenset({"elst"}),
    "minf": frozenset({"vmhd", "smhd", "hmhd", "nmhd", "sthd", "gmhd", "hdlr", "dinf", "stbl"}),
    "dinf": frozenset({"dref"}),
    "stbl": _SAMPLE_TABLES | _SAMPLE_GROUPS,
    "moof": frozenset({"mfhd", "traf"}),
    "traf": frozenset({"tfhd", "tfdt", "trun"}) | _SAMPLE_GROUPS,
    "mvex": frozenset({"mehd", "trex", "leva"}),
    "mfra": frozenset({"tfra", "mfro"}),
    "tapt": frozenset({"clef", "prof", "enof"}),
    "clip": frozenset({"crgn"}),
    "gmhd": frozenset({"gmin"}),
    "tref": frozenset({"cdsc", "chap", "fall", "folw", "hint", "subt", "tmcd"}),
}
"""What may lie in the boxes that hold boxes."""
_MOST_BYTES = 1 << 24  # of a box that is looked into: private data are small, or there is no need to see more
_LARGEST_BYTES = {
    kind: size
    for size, kinds in {
        2: "fiel enda",
        4: "nmhd sthd gama clli frma mp4a",
        8: "smhd pasp amve srat mfro",
        12: "vmhd clef prof enof mehd btrt",
        16: "gmin elng load",
        20: "hmhd",
        24: "trex mdcv dvcC dvvC",
        32: "clap",
        36: "mdhd",
        42: "dfLa",
        44: "cslg",
        96: "tkhd",
        112: "mvhd",
        _MOST_BYTES: "avcC hvcC av1C vpcC esds d263 damr dac3 dec3 dOps alac pcmC chnl chan",
    }.items()
    for kind in kinds.split()
}
"""The most bytes that a box of each kind holds; more is not its own. The last ones have no limit."""
_HEADS = {"avcC": "h264", "hvcC": "hevc"}
_IN_ENTRIES = frozenset({"colr", "wave", *_LARGEST_BYTES})
_COLOR_TAGS = frozenset({b"nclc", b"nclx"})
_MOST_COLOR_BYTES = 11
_ENTRY_BYTES = {"vide": 78, "soun": 28}
"""Of a description of pictures or of sound, what comes before its boxes."""
_COMPRESSOR_NAME = slice(42, 74)
_PLAIN_COMPRESSOR = re.compile(rb"(.(Lavc[\d.]+ \w+|(AVC|HEVC) Coding|H\.264|HEVC))?\0*", re.DOTALL)
"""Behind its length: none, FFmpeg's of itself, and what Apple's and GPAC's programs write for every clip."""
_SOUND_VERSION = slice(8, 10)
_MORE_SOUND_BYTES = {b"\0\1": 16, b"\0\2": 36}
"""By QuickTime's version of a description of sound."""
_DATED = frozenset({"mvhd", "tkhd", "mdhd"})
_HEADERS = frozenset({"hdlr", "dref", "stsd", *_LARGEST_BYTES})
"""Boxes that are read as a whole."""
_SPARE = frozenset({"free", "skip", "wide"})
_TRACKS = frozenset({"vide", "soun"})
_HANDLER_NAMES = (
    "VideoHandler",
    "SoundHandler",
    "Core Media ",
    "Apple ",
    "DataHandler",
    "ISO Media file produced by Google",
)
_SELF_REFERENCE_BYTES = 4  # a reference to the file itself: version and flags alone
_PLACE, _TIME, _DEVICE = "the place it was recorded", "the time it was recorded", "the device"
_WORDS = (
    *(("location", _PLACE), ("xyz", _PLACE), ("loci", _PLACE), ("gps", _PLACE)),
    *(("creation", _TIME), ("date", _TIME), ("make", _DEVICE), ("model", _DEVICE), ("manufacturer", _DEVICE)),
)
_WRITTEN_BY_FFMPEG = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration", "language"}
)
_SHOWN_NAMES = 8
_COLORS = re.compile(rb"colrncl[xc](.{6})", re.DOTALL)


@dataclass(slots=True)
class _Findings:
    words: dict[str, None] = field(default_factory=dict)
    tracks: list[str] = field(default_factory=list)
    descriptions: list[bytes] = field(default_factory=list)
    """How each track is coded (`stsd`)."""
    media_bytes: int = 0

    def add(self, word: str) -> None:
        self.words[word] = None

    def add_box(self, kind: str) -> None:
        """Note a box that has no place where it lies."""
        self.add(_word(kind) if kind != "uuid" else "XMP or data of another program")


def private_parts(
    path: Path, metadata: Mapping[str, str], *, found: Iterable[str], packet_bytes: int | None
) -> tuple[str, ...]:
    """Return what is private in a clip's file, in words; empty where it holds nothing but pictures and sound.

    Args:
        path: The clip.
        metadata: Its container's names and values, as FFmpeg reads them.
        found: What its streams hold, in words.
        packet_bytes: Of an MP4 or a MOV, whose boxes are looked through, the size of all packets together.

    Raises:
        OSError: The file cannot be read.
    """
    findings = _Findings(dict.fromkeys(found))
    for key in metadata:
        if key.casefold() not in _WRITTEN_BY_FFMPEG:
            findings.add(_word(key))
    if packet_bytes is not None:
        with path.open("rb") as file:
            _look(file, 0, path.stat().st_size, "", findings)
        _look_at_descriptions(findings)
        kinds = [kind for kind in findings.tracks if kind in _TRACKS]
        if len(kinds) != len(findings.tracks) or len(set(kinds)) != len(kinds):
            findings.add("further tracks")
        elif findings.media_bytes > packet_bytes:
            findings.add("leftover data")
    words = list(findings.words)
    more = [f"{len(words) - _SHOWN_NAMES} more"] if len(words) > _SHOWN_NAMES else []
    return (*words[:_SHOWN_NAMES], *more)


def container_colors(path: Path) -> tuple[int, int, int] | None:
    """Return the numbers of primaries, transfer and matrix in the `colr` box of an MP4 or MOV, or None.

    FFmpeg's HEVC decoder forgets them where the stream itself is silent.
    """
    with path.open("rb") as file:
        for kind, begin, end in boxes(file, 0, path.stat().st_size):
            if kind == "moov":
                found = set(_COLORS.findall(_read(file, begin, end)))
                return struct.unpack(">3H", found.pop()) if len(found) == 1 else None
    return None


def left_out(private: tuple[str, ...]) -> tuple[str, ...]:
    """Return a sentence for what is private in a file, or none."""
    return (f"Left out of what is sent: {', '.join(private)}.",) if private else ()


def _word(key: str) -> str:
    plain = "".join(char for char in key if char.isprintable())
    return next(
        (word for part, word in _WORDS if part in plain.casefold()), plain[:40] or "data without a name"
    )


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield the kind, and where the content begins and ends, of each box; "" for what is none."""
    at = start
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
            head = 16
        size = size or end - at
        if size < head or at + size > end:
            break
        yield kind.decode("latin-1"), at + head, at + size
        at += size
    if at < end:
        yield "", at, end


def _look(file: BinaryIO, start: int, end: int, parent: str, findings: _Findings) -> None:
    for kind, begin, stop in boxes(file, start, end):
        if kind in _SPARE or not kind:
            if _read(file, begin, stop).strip(b"\0"):
                findings.add("leftover data")
        elif kind == "mdat":
            findings.media_bytes += stop - begin
        elif kind == "udta":
            _look_at_user_data(file, begin, stop, findings)
        elif kind == "meta":
            _look_at_meta(_read(file, begin, stop), findings)
        elif kind not in _PLAIN.get(parent, _TOP):
            findings.add_box(kind)
        elif kind in _PLAIN:
            _look(file, begin, stop, kind, findings)
        elif kind in _HEADERS:
            _look_at_header(kind, parent, _read(file, begin, stop), findings)


def _look_at_header(kind: str, parent: str, content: bytes, findings: _Findings) -> None:
    if len(content) > _LARGEST_BYTES.get(kind, len(content)):
        findings.add("leftover data")
    elif kind == "stsd":
        findings.descriptions.append(content)
    elif kind == "dref":
        if any(
            end - begin > _SELF_REFERENCE_BYTES
            for _, begin, end in boxes(io.BytesIO(content), 8, len(content))
        ):
            findings.add("the place of a file")
    elif kind == "hdlr":
        if parent == "mdia":
            findings.tracks.append(content[8:12].decode("latin-1"))
        name = content[24:].strip(b"\0").decode("latin-1").lstrip("".join(map(chr, range(32))))
        if name and not name.startswith(_HANDLER_NAMES):
            findings.add("a track's name")
    elif kind in _DATED and any(content[4 : 20 if content[:1] == b"\x01" else 12]):
        findings.add(_TIME)  # when it was made and changed; 0 is unset


def _look_at_descriptions(findings: _Findings) -> None:
    """Look at how the tracks are coded; this waits for the kinds of the tracks, which may come after it."""
    if len(findings.descriptions) > len(findings.tracks):
        findings.add("further tracks")
    for track, content in zip(findings.tracks, findings.descriptions, strict=False):
        is_iso_1 = content[:1] != b"\0"
        for kind, begin, end in boxes(io.BytesIO(content), 8, len(content)):
            entry = content[begin:end]
            at = _ENTRY_BYTES.get(track, len(entry))
            if track == "soun" and not is_iso_1:
                at += _MORE_SOUND_BYTES.get(entry[_SOUND_VERSION], 0)
            if not kind or at > len(entry):
                findings.add("leftover data")
                continue
            if track == "vide" and not _PLAIN_COMPRESSOR.fullmatch(entry[_COMPRESSOR_NAME]):
                findings.add("an encoder's name")
            _look_into_entry(entry[at:], findings)


def _look_into_entry(content: bytes, findings: _Findings) -> None:
    for kind, begin, end in boxes(io.BytesIO(content), 0, len(content)):
        box = content[begin:end]
        if kind == "wave":
            _look_into_entry(box, findings)
        elif not kind.strip("\0") or kind in _SPARE:  # QuickTime ends a list of boxes with zeros
            if any(box):
                findings.add("leftover data")
        elif kind not in _IN_ENTRIES:
            findings.add_box(kind)
        else:
            _look_at_settings(kind, box, findings)


def _look_at_settings(kind: str, box: bytes, findings: _Findings) -> None:
    if kind == "colr":
        if box[:4] not in _COLOR_TAGS or len(box) > _MOST_COLOR_BYTES:
            findings.add("a colour profile")
    elif len(box) > _LARGEST_BYTES.get(kind, len(box)):
        findings.add("leftover data")
    elif kind in _HEADS:
        user_data = UserData.of(_HEADS[kind], box)
        if user_data is not None and user_data.removed_from_head(box) is not box:
            findings.add(USER_DATA)


def _look_at_user_data(file: BinaryIO, start: int, end: int, findings: _Findings) -> None:
    for kind, begin, stop in boxes(file, start, end):
        if kind == "meta":
            _look_at_meta(_read(file, begin, stop), findings)
        elif kind and kind not in _SPARE and kind != "\xa9swr":
            findings.add(_word(kind.strip("\xa9 ")))
        elif _read(file, begin, stop).strip(b"\0") and kind != "\xa9swr":
            findings.add("leftover data")


def _look_at_meta(content: bytes, findings: _Findings) -> None:
    """Look at a list of tags: that of the encoder alone is not private, and the others FFmpeg has named."""
    place = content.find(b"ilst")
    if place < 4:  # noqa: PLR2004 - its size lies before its name
        if b"hdlr" in content and not content.strip(b"\0"):
            return
        findings.add("tags")
        return
    (size,) = struct.unpack_from(">I", content, place - 4)
    at, end = place + 4, min(len(content), place - 4 + size)
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, at)
        if kind != b"\xa9too" and not findings.words:
            findings.add("tags")
        at += max(8, size)


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(min(end - begin, _MOST_BYTES))
