"""Look at every frame of a clip once: lost frames, cuts, camera movement, and whether anything moves."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av.filter import Graph

from ..errors import UnreadableMedia
from .camera import find_camera_moves
from .cuts import find_cuts
from .filters import pulled
from .reader import ClipReader
from .source import codec_threads, open_clip

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

    from .camera import CameraMove
    from .damage import Damage
    from .types import Stop

_LONGER_PX, _SHORTER_PX = 128, 72
_MOST_DECODERS = 2  # each holds frames of full size, and more than two gain little
_DISTINCT = 3  # grey levels by which one pixel of a small picture differs; coding noise stays below


@dataclass(frozen=True, slots=True)
class Survey:
    """What all frames of a clip together show."""

    cuts: tuple[float, ...]
    """Seconds after the first frame at which a new shot begins."""
    moves: tuple[CameraMove, ...]
    damage: Damage
    is_still: bool
    """All frames show the same picture."""


def survey_clip(path: Path, *, stop: Stop | None = None) -> Survey:
    """Decode a clip once and return what its frames show.

    Raises:
        UnreadableMedia: The clip cannot be decoded.
    """
    with open_clip(path) as container:
        threads = min(codec_threads(), _MOST_DECODERS)
        reader = ClipReader(container, path, threads=threads, stop=stop)
        times, pictures = _small_pictures(reader)
        damage = reader.damage()
    if not len(times):
        raise UnreadableMedia(f"No picture of {path.name} can be decoded.")
    is_still = int(np.ptp(pictures, axis=0).max()) < _DISTINCT
    if is_still:
        return Survey((), (), damage, is_still)
    return Survey(find_cuts(times, pictures), find_camera_moves(times, pictures), damage, is_still)


def _small_pictures(reader: ClipReader) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames' times, in seconds after the first, and the frames, small and grey, (N, H, W)."""
    times: list[Fraction] = []
    pictures, size_px = bytearray(), (0, 0)
    shrinking: _Shrinking | None = None
    for frame in reader.pictures():
        if frame.pts is None:
            continue
        if shrinking is None or not shrinking.takes(frame):
            size_px = size_px if pictures else _size_px(frame)
            shrinking = _Shrinking(frame, size_px, reader.time_base)
        times.append(frame.pts * reader.time_base)
        for small in shrinking.shrunk(frame):
            pictures += small.tobytes()
    first = times[0] if times else Fraction(0)
    moments = np.array([float(time - first) for time in times])
    return moments, np.frombuffer(pictures, np.uint8).reshape(len(times), size_px[1], size_px[0])


def _size_px(frame: VideoFrame) -> tuple[int, int]:
    is_wide = frame.width >= frame.height
    return (_LONGER_PX, _SHORTER_PX) if is_wide else (_SHORTER_PX, _LONGER_PX)


class _Shrinking:
    """An FFmpeg graph that makes frames of one kind small and grey."""

    def __init__(self, frame: VideoFrame, size_px: tuple[int, int], time_base: Fraction) -> None:
        self._described = (frame.width, frame.height, frame.format.name)
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        width, height = size_px
        small = self._graph.add("scale", f"{width}:{height}:flags=area:out_range=pc")
        grey, sink = self._graph.add("format", "gray"), self._graph.add("buffersink")
        self._graph.link_nodes(source, small, grey, sink).configure()

    def takes(self, frame: VideoFrame) -> bool:
        return self._described == (frame.width, frame.height, frame.format.name)

    def shrunk(self, frame: VideoFrame) -> list[np.ndarray]:
        self._graph.vpush(frame)
        return [small.to_ndarray(format="gray") for small in pulled(self._graph.vpull)]
