"""Pictures as packed yuv420p rows, BT.709, limited range: what the encoder takes without another copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Plane = npt.NDArray[np.uint8]

BT709: Final = 1
"""FFmpeg's number for BT.709 primaries, transfer and matrix."""

LIMITED_RANGE: Final = 1
"""FFmpeg's number for 16..235."""


def to_yuv(frame: Any, width: int, height: int) -> Plane:
    """Scale and convert a frame; `width` even and `height` a multiple of 4."""
    return frame.reformat(
        width, height, "yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED_RANGE
    ).to_ndarray()


def planes(rows: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """View luma and the two chroma planes of packed rows; both sides even."""
    flat = rows.reshape(-1)
    luma, chroma = width * height, width * height // 4
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )


def turned(rows: Plane, width: int, height: int, quarter_turns: int) -> Plane:
    """Turn packed rows against the clock by quarter turns."""
    parts = [np.rot90(plane, quarter_turns).reshape(-1) for plane in planes(rows, width, height)]
    return np.concatenate(parts).reshape(-1, height if quarter_turns % 2 else width)
