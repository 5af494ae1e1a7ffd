"""Clips that tests draw themselves, picture by picture."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np


def write_clip(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    rate: int = 10,
    codec: str = "libx264",
    container: str | None = None,
) -> None:
    """Encode packed yuv420p pictures of shape (height * 3 / 2, width); the ending names the container."""
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"} if codec == "libx264" else {}
        for number, rows in enumerate(pictures):
            if number == 0:
                stream.width, stream.height = rows.shape[1], rows.shape[0] * 2 // 3
            frame = av.VideoFrame.from_ndarray(rows, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
