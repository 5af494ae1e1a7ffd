"""How a player turns a stored picture, read from the display matrix."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_MATRIX = struct.Struct("=9i")
_NAMED_PROFILES = frozenset({"png", "apng"})
"""Codecs whose colour profile has a name, which PyAV frees twice once a frame's side data are read."""


@dataclass(frozen=True, slots=True)
class Turn:
    """First mirrored left to right, then turned clockwise."""

    degrees: int = 0
    """0, 90, 180 or 270, clockwise."""
    mirrored: bool = False

    def applied(self, picture: np.ndarray) -> np.ndarray:
        """Return an (H, W) or (H, W, C) picture as a player shows it; a view."""
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.rot90(picture, k=-self.degrees // 90)

    def filters(self) -> list[tuple[str, str]]:
        """Return FFmpeg's filters (name, arguments) that do the same."""
        turned = {
            0: [],
            90: [("transpose", "clock")],
            180: [("hflip", ""), ("vflip", "")],
            270: [("transpose", "cclock")],
        }[self.degrees]
        return [("hflip", ""), *turned] if self.mirrored else turned


_TURNS = {  # the signs of the matrix' a, b, c, d; x' = a x + c y, y' = b x + d y, y downwards
    (1, 0, 0, 1): Turn(0),
    (0, 1, -1, 0): Turn(90),
    (-1, 0, 0, -1): Turn(180),
    (0, -1, 1, 0): Turn(270),
    (-1, 0, 0, 1): Turn(0, mirrored=True),
    (1, 0, 0, -1): Turn(180, mirrored=True),
    (0, -1, -1, 0): Turn(90, mirrored=True),
    (0, 1, 1, 0): Turn(270, mirrored=True),
}


def turn_of(frame: VideoFrame, codec: str) -> Turn:
    """Return how a frame is to be turned; angles that are no multiple of 90 degrees go to the nearest."""
    data = _display_matrix(frame, codec)
    if data is None:
        counterclockwise = getattr(frame, "rotation", 0)  # PyAV 14.0 has none
        return Turn(-90 * round(counterclockwise / 90) % 360)
    a, b, _, c, d, *_rest = _MATRIX.unpack(data[: _MATRIX.size])
    upright = abs(a) + abs(d) >= abs(b) + abs(c)
    signs = (_sign(a), 0, 0, _sign(d)) if upright else (0, _sign(b), _sign(c), 0)
    return _TURNS.get(signs, Turn())


def _display_matrix(frame: VideoFrame, codec: str) -> bytes | None:
    """Return the display matrix, None where there is none or PyAV cannot give it."""
    if codec in _NAMED_PROFILES:
        return None
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # a kind of side data that FFmpeg knows and PyAV does not, such as EXIF
        return None
    return None if data is None or len(bytes(data)) < _MATRIX.size else bytes(data)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
