"""Width and height that fit the limits: scaled with their ratio, padded where that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import ClipBounds

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
