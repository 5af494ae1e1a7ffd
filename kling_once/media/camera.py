"""Find camera movement in the small pictures of a clip: Kling stops at it as it does at a cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .source import check_stop

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Self

    from .types import Stop

_STEP_SECONDS = 0.078  # between two pictures that are compared, a little less than every second one at 25 fps
_AT_ONCE = 4  # pairs of pictures: fewer take longer, and more take memory beside the decoder's
_LEAST_PICTURES = 3
_BLOCKS = (3, 4)  # along the shorter and the longer side
_TEXTURE = 3.0  # grey levels: a block that deviates less from its mean shows nothing to follow
_LEAST_BLOCKS = 5
_LEAST_CORNERS = 2  # among them: somebody in front of a plain wall is no camera
_AGREE = 0.6  # of the blocks move as one camera would move them
_OFF_PX = 0.5
_WINDOW_SECONDS = 0.5
_MOVED = 0.01  # of a side, at the edge of the picture, within the window
_JOINED_SECONDS = 0.6  # a shorter rest between two movements is none
_SHORTEST_SECONDS = 0.3
_SHAKEN = 2.5  # times the way that is left in the end


@dataclass(frozen=True, slots=True)
class CameraMove:
    """A stretch of a clip in which the whole picture moves."""

    start_seconds: float
    end_seconds: float
    kind: str
    """"pan", "zoom" or "shake"."""


class CameraTracker:
    """Follows the camera through a clip in a thread of its own while the pictures come in.

    Used in a `with`, which ends the thread: `add` every picture, then ask for the `moves` once.

    The blocks of two pictures 0.08 s apart are laid onto each other by phase correlation. What most of them
    agree on, as one shift and one zoom, is the camera's movement; somebody who moves is none.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "kling-once-camera")
        self._times: list[float] = []
        self._part: list[np.ndarray] = []
        self._steps: list[Future[np.ndarray]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, seconds: float, picture: np.ndarray) -> None:
        """Take the next picture; one less than 0.078 s after the last that was taken is left out.

        Args:
            seconds: When it is shown.
            picture: (H, W) grey, 0 to 255, of 128 x 72 px or 72 x 128 px.
        """
        if self._times and seconds - self._times[-1] < _STEP_SECONDS:
            return
        self._times.append(seconds)
        self._part.append(picture)
        if len(self._part) > _AT_ONCE:
            self._follow()

    def _follow(self) -> None:
        part = np.stack(self._part)
        self._part = self._part[-1:]
        self._steps.append(self._pool.submit(_movements, part))

    def moves(self, *, stop: Stop | None = None) -> tuple[CameraMove, ...]:
        """Return the stretches in which the camera has panned, zoomed or shaken.

        They are empty for fewer than three pictures.

        Args:
            stop: Asked before each part of the pictures is waited for.

        Raises:
            MediaStopped: `stop` says so.
        """
        if len(self._times) < _LEAST_PICTURES:
            return ()
        if len(self._part) > 1:
            self._follow()
        steps: list[np.ndarray] = []
        for step in self._steps:
            check_stop(stop)
            steps.append(step.result())
        return _stretches(np.array(self._times), np.concatenate([np.zeros((1, 3)), *steps]).cumsum(0))


def _movements(pictures: np.ndarray) -> np.ndarray:
    """Return how each picture but the first has moved: down, right and outwards, in parts of a side."""
    pictures = pictures.astype(np.float32)
    height, width = pictures.shape[1:]
    halves = (pictures[:, :, ::2] + pictures[:, :, 1::2]) / 2
    small = _spectra((halves[:, ::2] + halves[:, 1::2]) / 2)
    coarse = np.round(2 * _shifts(small[:-1], small[1:], (height // 2, width // 2))).astype(int)
    coarse[(np.abs(coarse) > (height // 4, width // 4)).any(1)] = 0
    blocks = _blocks(pictures)
    spectra, deviation = _spectra(blocks), blocks.std((2, 3))
    one, one_deviation = spectra[:-1].copy(), deviation[:-1].copy()
    if (shifted := coarse.any(1)).any():
        pairs = zip(pictures[:-1][shifted], coarse[shifted], strict=True)
        moved = _blocks(np.stack([np.roll(picture, shift, (0, 1)) for picture, shift in pairs]))
        one[shifted], one_deviation[shifted] = _spectra(moved), moved.std((2, 3))
    fine = coarse[:, None] + _shifts(one, spectra[1:], blocks.shape[2:])
    is_textured = np.minimum(one_deviation, deviation[1:]) > _TEXTURE
    return _agreed(fine, is_textured, _places(height, width)) / (height, width, 1)


def _blocks(pictures: np.ndarray) -> np.ndarray:
    """Return (N, blocks, h, w)."""
    count, height, width = pictures.shape
    down, across = _grid(height, width)
    parts = pictures.reshape(count, down, height // down, across, width // across)
    return parts.swapaxes(2, 3).reshape(count, down * across, height // down, width // across)


def _grid(height: int, width: int) -> tuple[int, int]:
    shorter, longer = _BLOCKS
    return (shorter, longer) if width >= height else (longer, shorter)


def _places(height: int, width: int) -> np.ndarray:
    """Return the middle of each block, down and right from that of the picture, in px."""
    down, across = _grid(height, width)
    rows = (np.arange(down) + 0.5) * (height / down) - height / 2
    columns = (np.arange(across) + 0.5) * (width / across) - width / 2
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _spectra(pictures: np.ndarray) -> np.ndarray:
    """Return the spectrum of each picture, (..., H, W // 2 + 1), faded out towards its edges."""
    height, width = pictures.shape[-2:]
    window = (np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]).astype(np.float32)
    return np.fft.rfft2((pictures - pictures.mean((-2, -1), keepdims=True)) * window)


def _shifts(one: np.ndarray, other: np.ndarray, size_px: tuple[int, ...]) -> np.ndarray:
    """Return by how many px down and right pictures have moved, (..., 2), by phase correlation of spectra."""
    _, width = size_px
    product = other * one.conj()
    product /= np.maximum(np.abs(product), 1e-3)
    waves = np.fft.irfft2(product, s=size_px)
    peak = waves.reshape(*waves.shape[:-2], -1).argmax(-1)
    return np.stack([_peak(waves, peak // width, peak % width, axis) for axis in (0, 1)], axis=-1)


def _peak(waves: np.ndarray, row: np.ndarray, column: np.ndarray, axis: int) -> np.ndarray:
    """Return the place of the peak along one axis to a part of a pixel, by a parabola through it."""
    size = waves.shape[axis - 2]
    flat = waves.reshape(-1, *waves.shape[-2:])
    number, at = np.arange(len(flat)), [row.ravel(), column.ravel()]

    def beside(step: int) -> np.ndarray:
        place = list(at)
        place[axis] = (place[axis] + step) % size
        return flat[number, place[0], place[1]]

    before, middle, after = beside(-1), beside(0), beside(1)
    bend = before - 2 * middle + after
    part = np.where(bend < 0, (before - after) / np.minimum(2 * bend, -1e-9), 0)
    found = at[axis] + np.clip(part, -0.5, 0.5)
    return ((found + size / 2) % size - size / 2).reshape(row.shape)


def _agreed(shifts: np.ndarray, is_seen: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the shift in px and the zoom on which most blocks agree, (N, 3); zeros where they do not.

    Every two seen blocks propose a shift and a zoom, every single one a shift without a zoom, and all vote.

    Args:
        shifts: (N, blocks, 2) px.
        is_seen: (N, blocks), the blocks that show something to follow.
        places: (blocks, 2) px from the middle of the picture.
    """
    blocks = np.arange(len(places))
    first, second = np.triu_indices(len(places), 1)
    apart = places[second] - places[first]
    zooms = ((shifts[:, second] - shifts[:, first]) * apart).sum(2) / (apart**2).sum(1)
    zooms = np.concatenate([zooms, np.zeros(is_seen.shape)], axis=1)
    first, second = np.concatenate([first, blocks]), np.concatenate([second, blocks])
    bases = shifts[:, first] - zooms[..., None] * places[first]
    off = np.abs(shifts[:, None] - bases[:, :, None] - zooms[..., None, None] * places).max(3)
    agree = (off < _OFF_PX) & is_seen[:, None]
    votes = np.where(is_seen[:, first] & is_seen[:, second], agree.sum(2), -1)
    best = agree[np.arange(len(agree)), votes.argmax(1)]
    is_corner = (np.abs(places) == np.abs(places).max(0)).all(1)
    is_camera = (best.sum(1) >= np.maximum(_LEAST_BLOCKS, _AGREE * is_seen.sum(1))) & (
        (best & is_corner).sum(1) >= _LEAST_CORNERS
    )
    found = np.zeros((len(shifts), 3))
    for at in np.flatnonzero(is_camera):
        found[at] = _fitted(shifts[at][best[at]], places[best[at]])
    return found


def _fitted(shifts: np.ndarray, places: np.ndarray) -> tuple[float, float, float]:
    """Return the shift and the zoom that fit blocks best."""
    middle = places.mean(0)
    spread = places - middle
    zoom = float((shifts * spread).sum() / (spread**2).sum())
    down, right = shifts.mean(0) - zoom * middle
    return float(down), float(right), zoom


def _stretches(times: np.ndarray, path: np.ndarray) -> tuple[CameraMove, ...]:
    ways = path * (1, 1, 0.5)  # a zoom moves the edge, half a side from the middle
    spans: list[list[int]] = []
    for first, at in enumerate(times):
        last = int(np.searchsorted(times, at + _WINDOW_SECONDS, side="right")) - 1
        part = ways[first : last + 1]
        if np.ptp(part, axis=0).max() < _MOVED:
            continue
        first, last = _moving_part(part, first)  # noqa: PLW2901 - the window without its still ends
        if spans and at - times[spans[-1][1]] <= _JOINED_SECONDS:
            spans[-1][1] = max(last, spans[-1][1])
        else:
            spans.append([first, last])
    return tuple(
        CameraMove(float(times[first]), float(times[last]), _kind(ways[first : last + 1]))
        for first, last in spans
        if times[last] - times[first] >= _SHORTEST_SECONDS
    )


def _moving_part(part: np.ndarray, offset: int) -> tuple[int, int]:
    steps = np.flatnonzero(np.abs(np.diff(part, axis=0)).max(1) > _MOVED / 12)
    return offset + int(steps[0]), offset + int(steps[-1]) + 1


def _kind(ways: np.ndarray) -> str:
    lengths = np.abs(np.diff(ways, axis=0)).sum(0)
    most = int(lengths.argmax())
    if lengths[most] > _SHAKEN * abs(ways[-1, most] - ways[0, most]):
        return "shake"
    return "zoom" if most == 2 else "pan"  # noqa: PLR2004 - the third is the zoom
