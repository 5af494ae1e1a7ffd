"""Look at every frame of a clip once: lost frames, cuts, camera movement, and whether anything moves."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from ..errors import UnreadableMedia
from .camera import CameraTracker
from .color import RANGES
from .cuts import find_cuts
from .filters import pulled
from .picture import as_array, to_8_bit
from .reader import ClipReader
from .source import check_stop, codec_threads, open_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from .camera import CameraMove
    from .damage import Damage
    from .types import Frames, Stop

    OnPicture: TypeAlias = Callable[[float, np.ndarray], None]

_LONGER_PX, _SHORTER_PX = 128, 72
_MOST_DECODERS = 2  # each holds frames of full size, and more than two gain little
_WITHOUT_WHAT_IS_TOO_SMALL_TO_SEE = {"skip_loop_filter": "noref"}
"""Deblocking is left out where no other frame depends on it."""
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
_FULL_RANGE = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Grey levels of 16 to 235 as those of 0 to 255."""
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


@dataclass(frozen=True, slots=True)
class SmallPictures:
    """Every frame of a clip, small and grey."""

    times: np.ndarray
    """(N,) seconds after the first frame."""
    pictures: np.ndarray
    """(N, H, W) uint8: 128 x 72 px, or 72 x 128 px for a portrait clip."""


def survey_clip(path: Path, *, stop: Stop | None = None) -> Survey:
    """Decode a clip once and return what its frames show.

    Args:
        path: The clip.
        stop: Asked before each packet.

    Raises:
        UnreadableMedia: The clip cannot be decoded.
        MediaStopped: `stop` says so.
    """
    with CameraTracker() as camera:
        small, damage = small_pictures(path, stop=stop, on_picture=camera.add)
        is_still = int(np.ptp(small.pictures, axis=0).max()) < _DISTINCT
        if is_still:
            return Survey((), (), damage, is_still)
        return Survey(find_cuts(small.times, small.pictures), camera.moves(stop=stop), damage, is_still)


def small_pictures(
    path: Path, *, stop: Stop | None = None, on_picture: OnPicture | None = None
) -> tuple[SmallPictures, Damage]:
    """Decode a clip once and return its frames, small, and which of them are lost.

    Args:
        path: The clip.
        stop: Tells whether to stop.
        on_picture: Called with each small picture as it comes in, and its seconds after the first frame.

    Raises:
        UnreadableMedia: The clip cannot be decoded.
    """
    with open_clip(path) as container:
        threads = min(codec_threads(), _MOST_DECODERS)
        reader = ClipReader(container, path, threads=threads, stop=stop)
        reader.video.codec_context.options = _WITHOUT_WHAT_IS_TOO_SMALL_TO_SEE
        small = _shrunk(reader.pictures(), reader.time_base, on_picture)
        damage = reader.damage()
    if not len(small.times):
        raise UnreadableMedia(f"No picture of {path.name} can be decoded.")
    return small, damage


def small_frames(frames: Frames, *, stop: Stop | None = None) -> SmallPictures:
    """Return frames in memory as small pictures."""
    base = 1 / Fraction(frames.fps)

    def pictures() -> Iterator[VideoFrame]:
        for number in range(len(frames.frames)):
            check_stop(stop)
            pixels = to_8_bit(as_array(frames.frames[number]))
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture.pts, picture.time_base = number, base
            yield picture

    return _shrunk(pictures(), base)


def _shrunk(
    frames: Iterable[VideoFrame], time_base: Fraction, on_picture: OnPicture | None = None
) -> SmallPictures:
    times: list[float] = []
    first: Fraction | None = None
    pictures, size_px = bytearray(), (0, 0)
    shrinking: _Shrinking | None = None
    for frame in frames:
        if frame.pts is None:
            continue
        if shrinking is None or not shrinking.takes(frame):
            size_px = size_px if pictures else _size_px(frame)
            shrinking = _Shrinking(frame, size_px, time_base)
        first = frame.pts * time_base if first is None else first
        times.append(float(frame.pts * time_base - first))
        for small in shrinking.shrunk(frame):
            pictures += small.tobytes()
            if on_picture is not None:
                on_picture(times[-1], small)
    shown = np.frombuffer(pictures, np.uint8).reshape(len(times), size_px[1], size_px[0])
    return SmallPictures(np.array(times), shown)


def _size_px(frame: VideoFrame) -> tuple[int, int]:
    is_wide = frame.width >= frame.height
    return (_LONGER_PX, _SHORTER_PX) if is_wide else (_SHORTER_PX, _LONGER_PX)


class _Shrinking:
    """An FFmpeg graph that makes frames of one kind small and grey."""

    def __init__(self, frame: VideoFrame, size_px: tuple[int, int], time_base: Fraction) -> None:
        self._described = _description(frame)
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        has_luma_alone = frame.format.name in _PLANAR
        self._is_limited = has_luma_alone and not _is_full_range(frame)
        nodes, scaled = [source], f"{size_px[0]}:{size_px[1]}:flags=area"
        if has_luma_alone:  # `scale` would shrink the colours too, only to drop them
            nodes += [self._graph.add("extractplanes", "y"), self._graph.add("scale", scaled)]
        else:
            nodes.append(self._graph.add("scale", f"{scaled}:out_range=pc"))
        nodes += [self._graph.add("format", "gray"), self._graph.add("buffersink")]
        self._graph.link_nodes(*nodes).configure()

    def takes(self, frame: VideoFrame) -> bool:
        return self._described == _description(frame)

    def shrunk(self, frame: VideoFrame) -> list[np.ndarray]:
        self._graph.vpush(frame)
        small: list[Any] = [picture.to_ndarray(format="gray") for picture in pulled(self._graph.vpull)]
        return [_FULL_RANGE[picture] for picture in small] if self._is_limited else small


def _description(frame: VideoFrame) -> tuple[object, ...]:
    return frame.width, frame.height, frame.format.name, _is_full_range(frame)


def _is_full_range(frame: VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj") or RANGES.get(int(frame.color_range)) == "pc"
