"""How a player turns a stored picture, read from the display matrix."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from .types import ClipBounds


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


_BLOCK_PX = 16  # an encoder's block: 3840 rather than 3850 px when a clip is scaled down


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the picture goes: even sides throughout."""

    content_width_px: int
    """Of the picture itself."""
    content_height_px: int
    width_px: int
    """Of the clip; more than the content's where bars are added."""
    height_px: int
    is_scaled: bool
    is_cropped: bool
    """An odd last row or column goes."""

    @property
    def is_padded(self) -> bool:
        """Tell whether bars are added."""
        return (self.width_px, self.height_px) != (self.content_width_px, self.content_height_px)

    @property
    def content(self) -> str:
        """Return the content's size for people."""
        return f"{self.content_width_px} x {self.content_height_px}"


def fit(width_px: int, height_px: int, bounds: ClipBounds, *, scale: bool = True) -> Canvas:
    """Return the canvas of a clip as displayed; without `scale` only odd sides are made even."""
    smallest = bounds.min_side_px + bounds.min_side_px % 2
    largest = max(smallest, bounds.max_side_px // _BLOCK_PX * _BLOCK_PX)
    shorter, longer = sorted((width_px, height_px))
    factor = 1.0
    if scale and longer > bounds.max_side_px:
        factor = largest / longer
    if scale and shorter * factor < bounds.min_side_px:
        factor = min(smallest / shorter, largest / longer)
    if factor == 1.0:
        content = (max(2, width_px - width_px % 2), max(2, height_px - height_px % 2))
    else:
        content = (_even(width_px * factor, largest), _even(height_px * factor, largest))
    least = smallest if scale else 2
    return Canvas(
        *content,
        max(content[0], least),
        max(content[1], least),
        is_scaled=factor != 1.0,
        is_cropped=factor == 1.0 and content != (width_px, height_px),
    )


def _even(side: float, largest: int) -> int:
    return min(largest, max(2, round(side / 2) * 2))
