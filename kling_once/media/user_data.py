"""Private data in an H.264 stream: what a camera writes between the pictures, such as place and time.

Source: ITU-T H.264, 7.3.1 and 7.3.2.3 (NAL units and SEI), 7.4.1 (their kinds), annexes B and D.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USER_DATA = "data between the pictures (SEI)"
_KINDS = frozenset({*range(1, 16), 19, 20})
"""Of NAL units that hold pictures or what decoding them needs (table 7-1)."""
_SEI = 6
_USER_DATA_UNREGISTERED = 5
_PAYLOADS = frozenset({0, 1, 2, 3, 6, 19, 45, 47, 137, 142, 144, 147})
"""Kinds of SEI about times, shape and colours of the pictures; captions and user data are none."""
_X264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef") + b"x264 - "
"""What x264 writes, and FFmpeg reads to decode streams of its early versions; settings alone follow."""
_START_CODE = re.compile(rb"\0\0\0?\x01")
_ESCAPED = re.compile(rb"\0\0\x03(?=[\0-\x03]|$)", re.DOTALL)
_AVCC_BYTES = 7


def nal_length_bytes(extradata: bytes | None) -> int:
    """Return how many bytes tell the length of each NAL unit, by a stream's head; 0 for start codes."""
    if extradata and len(extradata) >= _AVCC_BYTES and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return 0


def without_user_data(data: bytes, length_bytes: int) -> bytes:
    """Return an H.264 packet without private NAL units: the same object where it has none.

    Args:
        data: The packet.
        length_bytes: As `nal_length_bytes` says.
    """
    units = list(_units(data, length_bytes))
    kept = [(whole, unit) for whole, unit in units if not _is_private(unit)]
    return data if len(kept) == len(units) else b"".join(whole for whole, _ in kept)


def _units(data: bytes, length_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each NAL unit with what is in front of it, and alone; what is cut off is one as well."""
    if not length_bytes:
        heads = list(_START_CODE.finditer(data))
        ends = [head.start() for head in heads[1:]] + [len(data)]
        for head, end in zip(heads, ends, strict=True):
            yield data[head.start() : end], data[head.end() : end]
        return
    at = 0
    while at < len(data):
        begin = at + length_bytes
        end = begin + int.from_bytes(data[at:begin], "big")
        yield data[at:end], data[begin:end]
        at = end


def _is_private(unit: bytes) -> bool:
    if not unit:
        return False
    kind = unit[0] & 31
    return kind not in _KINDS or (kind == _SEI and not all(map(_is_plain, *_messages(unit))))


def _messages(unit: bytes) -> tuple[list[int], list[bytes]]:
    """Return the kinds and the contents of a SEI unit's messages; -1 for what is none."""
    body = _ESCAPED.sub(b"\0\0", unit[1:]).rstrip(b"\0")
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
    return kind in _PAYLOADS or (kind == _USER_DATA_UNREGISTERED and content.startswith(_X264))
