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

    def kind(self, unit: bytes) -> int:
        return (unit[0] >> self.kind_shift) & self.kind_mask


_SYNTAXES = {
    "h264": _Syntax(1, 0, 31, frozenset({*range(1, 16), 19, 20}), frozenset({6}), 4),
    "hevc": _Syntax(2, 1, 63, frozenset({*range(38), 39, 40}), frozenset({39, 40}), 21),
}


@dataclass(frozen=True, slots=True)
class UserData:
    """What finds and removes private data in the packets of one stream."""

    syntax: _Syntax
    length_bytes: int
    """How many bytes tell the length of each NAL unit; 0 for start codes."""

    @classmethod
    def of(cls, codec: str, extradata: bytes | None) -> UserData | None:
        """Return it for a stream; None for a codec that is not looked into.

        Args:
            codec: FFmpeg's name.
            extradata: The head of the stream.
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
