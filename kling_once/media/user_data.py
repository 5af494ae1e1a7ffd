"""Private data in H.264 and HEVC: what a camera writes between the pictures, such as place and time.

Sources: ITU-T H.264 and H.265, 7.3.1 and 7.3.2 (NAL units and SEI), 7.4 (their kinds), annexes B and D;
ISO/IEC 14496-15 (their heads in an MP4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USER_DATA = "data between the pictures (SEI)"
_USER_DATA_UNREGISTERED = 5
_PAYLOADS = frozenset({0, 1, 2, 3, 6, 19, 45, 47, 128, 129, 130, 131, 132, 137, 142, 144, 147})
"""Kinds of SEI about times, shape and colours of the pictures; captions and user data are none."""
_SETTINGS = (
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef") + b"x264 - ",
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e") + b"x265 (build ",
)
"""What x264 and x265 write, and FFmpeg reads to decode streams of early versions; settings alone follow."""
_AVCC_LISTS = ((0, 0x1F), (0, 0xFF), (3, 0xFF))
"""SPS, PPS and SPS extensions: bytes in front of their number, and its bits in the byte that holds it."""
_WITHOUT_EXTENSIONS = frozenset({66, 77, 88})
"""Profiles of an avcC that ends behind the PPS: Baseline, Main and Extended."""
_AVCC_LISTS_AT, _HVCC_LISTS_AT = 5, 22
_START_CODE = re.compile(rb"\0\0\0?\x01")
_ESCAPED = re.compile(rb"\0\0\x03(?=[\0-\x03]|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Syntax:
    """How the NAL units of a codec begin."""

    head_bytes: int
    kind_shift: int
    kind_mask: int
    kinds: frozenset[int]
    """Of units that hold pictures, or what decoding them needs."""
    sei: frozenset[int]
    length_at: int
    """Where an MP4's head of the stream says how many bytes tell the length of a unit."""
    has_arrays: bool
    """That head is an hvcC, whose lists say what they hold; else an avcC."""

    def kind(self, unit: bytes) -> int:
        return (unit[0] >> self.kind_shift) & self.kind_mask


_SYNTAXES = {
    "h264": _Syntax(1, 0, 31, frozenset({*range(1, 16), 19, 20}), frozenset({6}), 4, False),
    "hevc": _Syntax(2, 1, 63, frozenset({*range(38), 39, 40}), frozenset({39, 40}), 21, True),
}


@dataclass(frozen=True, slots=True)
class UserData:
    """What finds and removes private data in the head and in the packets of one stream."""

    syntax: _Syntax
    length_bytes: int
    """How many bytes tell the length of each NAL unit; 0 for start codes."""

    @classmethod
    def of(cls, codec: str, extradata: bytes | None) -> UserData | None:
        """Return the remover for a stream; None for a codec that is not looked into.

        Args:
            codec: FFmpeg's name.
            extradata: The head of the stream: avcC, hvcC or Annex B; None where the file has none.
        """
        syntax = _SYNTAXES.get(codec)
        if syntax is None:
            return None
        head = extradata or b""
        has_lengths = len(head) > syntax.length_at + 1 and head[0] == 1
        return cls(syntax, (head[syntax.length_at] & 3) + 1 if has_lengths else 0)

    def removed(self, data: bytes) -> bytes:
        """Return a packet without private NAL units: the same object where it has none."""
        units = list(_units(data, self.length_bytes))
        kept = [(whole, unit) for whole, unit in units if not self._is_private(unit)]
        return data if len(kept) == len(units) else b"".join(whole for whole, _ in kept)

    def removed_from_head(self, extradata: bytes) -> bytes:
        """Return an avcC, hvcC or Annex B head without private NAL units: the same object where it has none.

        Bytes that belong to no unit and to no list of units are private as well.
        """
        if not self.length_bytes:
            units = _units(extradata, 0)
            kept = b"".join(whole for whole, unit in units if not self._is_private(unit))
        elif self.syntax.has_arrays:
            kept = self._hvcc(extradata)
        else:
            kept = self._avcc(extradata)
        return extradata if kept == extradata else kept

    def _avcc(self, head: bytes) -> bytes:
        at = _AVCC_LISTS_AT
        parts = [head[:at]]
        for gap, mask in _AVCC_LISTS[: 2 if head[1] in _WITHOUT_EXTENSIONS else 3]:
            place = at + gap
            if place >= len(head):
                break
            units, end = self._listed(head, place + 1, head[place] & mask)
            parts += [head[at:place], bytes([head[place] & ~mask | len(units)]), *units]
            at = end
        return b"".join(parts)

    def _hvcc(self, head: bytes) -> bytes:
        lists: list[bytes] = []
        at = _HVCC_LISTS_AT + 1
        for _ in range(head[_HVCC_LISTS_AT]):
            count = int.from_bytes(head[at + 1 : at + 3], "big")
            units, end = self._listed(head, at + 3, count)
            if units:
                lists.append(head[at : at + 1] + len(units).to_bytes(2, "big") + b"".join(units))
            at = end
        return head[:_HVCC_LISTS_AT] + bytes([len(lists)]) + b"".join(lists)

    def _listed(self, head: bytes, at: int, count: int) -> tuple[list[bytes], int]:
        """Return the units of a list that are not private, with their sizes, and where the list ends."""
        kept = []
        for _ in range(count):
            begin = at + 2
            end = begin + int.from_bytes(head[at:begin], "big")
            if begin > len(head) or end > len(head):  # cut off: no decoder reads it
                return kept, len(head)
            if not self._is_private(head[begin:end]):
                kept.append(head[at:end])
            at = end
        return kept, at

    def _is_private(self, unit: bytes) -> bool:
        if not unit:
            return False
        kind, body = self.syntax.kind(unit), unit[self.syntax.head_bytes :]
        if kind in self.syntax.sei:
            return not all(map(_is_plain, *_messages(body)))
        return kind not in self.syntax.kinds


def is_looked_into(codec: str) -> bool:
    """Tell whether private data in the packets of a codec are found."""
    return codec in _SYNTAXES


def _units(data: bytes, length_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each NAL unit with what is in front of it, and alone; what is cut off is one as well."""
    if not length_bytes:
        heads = list(_START_CODE.finditer(data))
        for head, following in zip_longest(heads, heads[1:]):
            end = following.start() if following else len(data)
            yield data[head.start() : end], data[head.end() : end]
        return
    at = 0
    while at < len(data):
        begin = at + length_bytes
        end = begin + int.from_bytes(data[at:begin], "big")
        yield data[at:end], data[begin:end]
        at = end


def _messages(body: bytes) -> tuple[list[int], list[bytes]]:
    """Return the kinds and the contents of a SEI unit's messages; -1 for what is none."""
    body = _ESCAPED.sub(b"\0\0", body).rstrip(b"\0")
    kinds, contents, at = [], [], 0
    while at < len(body) - 1:  # its last byte is a stop bit
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(body) and body[at] == 0xFF:  # noqa: PLR2004 - 255, and more follows
                number, at = number + 255, at + 1
            numbers.append(number + (body[at] if at < len(body) else 0))
            at += 1
        kind, size = numbers
        content = body[at : at + size]
        kinds.append(kind if len(content) == size else -1)
        contents.append(content)
        at += size
    return kinds, contents


def _is_plain(kind: int, content: bytes) -> bool:
    return kind in _PAYLOADS or (kind == _USER_DATA_UNREGISTERED and content.startswith(_SETTINGS))
