"""Find cuts: Kling uses a clip only up to the first change of shot, and bills all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.filter import Graph

from ..errors import UnreadableMedia
from .filters import pulled
from .reader import ClipReader
from .source import codec_threads, open_clip

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from .types import Stop

_WIDTH_PX, _HEIGHT_PX = 64, 36
_MOST_DECODERS = 2  # each holds frames of full size, and more than two gain little
_SCORE = 0.05  # FFmpeg's scene score that makes a candidate; a cut has 0.3 and more
_FLASH_FRAMES = 4  # a flash or a glitch lasts no longer
_MOST_ALIKE = 0.7  # correlation of two pictures; within a shot it is higher, also in a fast dance
_NEIGHBOURS = 6  # frames on each side, which show how much moves without a cut
_TIMES_THE_MOTION = 3.0


@dataclass(slots=True)
class _Shots:
    """All frames of a clip as small grey pictures, and the times of FFmpeg's scene changes."""

    times: list[Fraction] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    changes: set[Fraction] = field(default_factory=set)


def find_cuts(path: Path, *, stop: Stop | None = None) -> tuple[float, ...]:
    """Return the seconds after the clip's first frame at which a new shot begins.

    FFmpeg's scene score names the candidates. A flash after which the old shot goes on, a change of light
    and fast motion are not cuts. Slow dissolves are not found.

    Raises:
        UnreadableMedia: The clip cannot be decoded.
        MediaStopped: `stop` returned True.
    """
    path = Path(path)
    with open_clip(path) as container:
        threads = min(codec_threads(), _MOST_DECODERS)
        shots, first = _watch(ClipReader(container, path, threads=threads, stop=stop))
    if not shots.times:
        raise UnreadableMedia(f"No picture of {path.name} can be decoded.")
    numbers = (number for number, time in enumerate(shots.times) if time in shots.changes)
    return tuple(float(shots.times[n] - first) for n in numbers if _is_cut(shots.pictures, n))


def _watch(reader: ClipReader) -> tuple[_Shots, Fraction]:
    shots = _Shots()
    graph: _SceneGraph | None = None
    first: Fraction | None = None
    base = reader.time_base
    for frame in reader.pictures():
        if frame.pts is None:
            continue
        time = frame.pts * base
        first = time if first is None else first
        if graph is None or not graph.takes(frame):
            graph = _SceneGraph(frame, base)
        graph.look(frame, shots)
    if graph is not None:
        graph.look(None, shots)
    return shots, first or Fraction(0)


class _SceneGraph:
    """An FFmpeg graph with two sinks: all frames, small and grey, and those with a change of scene."""

    def __init__(self, frame: VideoFrame, time_base: Fraction) -> None:
        self._described = (frame.width, frame.height, frame.format.name)
        self._base = time_base
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        small = self._graph.add("scale", f"{_WIDTH_PX}:{_HEIGHT_PX}:flags=area:out_range=pc")
        grey = self._graph.add("format", "gray")
        split = self._graph.add("split")
        select = self._graph.add("select", f"gt(scene,{_SCORE})")
        self._every, self._changed = self._graph.add("buffersink"), self._graph.add("buffersink")
        source.link_to(small)
        small.link_to(grey)
        grey.link_to(split)
        split.link_to(self._every, 0, 0)
        split.link_to(select, 1, 0)
        select.link_to(self._changed)
        self._graph.configure()

    def takes(self, frame: VideoFrame) -> bool:
        return self._described == (frame.width, frame.height, frame.format.name)

    def look(self, frame: VideoFrame | None, shots: _Shots) -> None:
        self._graph.vpush(frame)
        for small in pulled(self._every.pull):
            shots.times.append((small.pts or 0) * (small.time_base or self._base))
            plane = small.to_ndarray(format="gray")
            shots.pictures.append(plane.astype(np.float32).ravel())
        for small in pulled(self._changed.pull):
            shots.changes.add((small.pts or 0) * (small.time_base or self._base))


def _is_cut(pictures: list[np.ndarray], number: int) -> bool:
    """Tell whether frame `number` begins a new shot that is not just a flash."""
    if not number:
        return False
    before = pictures[max(0, number - _FLASH_FRAMES) : number]
    after = pictures[number : number + _FLASH_FRAMES]
    if max(_alike(one, other) for one in before for other in after) > _MOST_ALIKE:
        return False
    change = _difference(pictures[number - 1], pictures[number])
    around = [
        _difference(pictures[n - 1], pictures[n])
        for n in range(max(1, number - _NEIGHBOURS), min(len(pictures), number + _NEIGHBOURS + 1))
        if n != number
    ]
    return not around or change > _TIMES_THE_MOTION * float(np.median(around))


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two pictures, -1 to 1, which ignores brightness and contrast."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    if scale < 1:  # two plain areas, which correlation cannot compare; the score has
        return 0.0
    return float(one @ other) / scale
