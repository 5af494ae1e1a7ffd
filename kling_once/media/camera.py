"""Find camera movement in the small pictures of a clip: Kling stops at it as it does at a cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STEP_SECONDS = 0.078  # between two pictures that are compared, a little less than every second one at 25 fps
_AT_ONCE = 12  # pairs of pictures, which bounds the memory
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


def find_camera_moves(times: np.ndarray, pictures: np.ndarray) -> tuple[CameraMove, ...]:
    """Return the stretches in which the camera pans, zooms or shakes; somebody who moves is none.

    The blocks of two pictures 0.08 s apart are laid onto each other by phase correlation. What most of them
    agree on, as one shift and one zoom, is the camera's movement.

    Args:
        times: (N,) seconds, rising.
        pictures: (N, H, W) grey, 0 to 255, of about 128 x 72 px or 72 x 128 px.
    """
    chosen = _spaced(times)
    if len(chosen) < 3:  # noqa: PLR2004 - too short to tell
        return ()
    parts = (chosen[start : start + _AT_ONCE + 1] for start in range(0, len(chosen) - 1, _AT_ONCE))
    steps = [_movements(pictures[part].astype(np.float32)) for part in parts]
    return _stretches(times[chosen], np.concatenate([np.zeros((1, 3)), *steps]).cumsum(0))


def _spaced(times: np.ndarray) -> list[int]:
    chosen: list[int] = []
    for number, at in enumerate(times):
        if not chosen or at - times[chosen[-1]] >= _STEP_SECONDS:
            chosen.append(number)
    return chosen


def _movements(pictures: np.ndarray) -> np.ndarray:
    """Return how each picture but the first has moved: down, right and outwards, in parts of a side."""
    height, width = pictures.shape[1:]
    before, after = pictures[:-1], pictures[1:]
    halves = pictures.reshape(-1, height // 2, 2, width // 2, 2).mean((2, 4))
    coarse = np.round(2 * _shifts(halves[:-1], halves[1:])).astype(int)
    coarse[(np.abs(coarse) > (height // 4, width // 4)).any(1)] = 0
    moved = np.stack([np.roll(picture, shift, (0, 1)) for picture, shift in zip(before, coarse, strict=True)])
    one, other = _blocks(moved), _blocks(after)
    fine = coarse[:, None] + _shifts(one, other)
    is_textured = np.minimum(one.std((2, 3)), other.std((2, 3))) > _TEXTURE
    places = _places(height, width)
    is_corner = (np.abs(places) == np.abs(places).max(0)).all(1)
    found = [
        _agreed(shifts[seen], places[seen], is_corner[seen])
        for shifts, seen in zip(fine, is_textured, strict=True)
    ]
    return np.array(found) / (height, width, 1)


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


def _shifts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return by how many px down and right each picture has moved, (..., 2), by phase correlation."""
    height, width = one.shape[-2:]
    window = (np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]).astype(np.float32)
    spectra = [
        np.fft.rfft2((picture - picture.mean((-2, -1), keepdims=True)) * window) for picture in (one, other)
    ]
    product = spectra[1] * spectra[0].conj()
    waves = np.fft.irfft2(product / np.maximum(np.abs(product), 1e-3), s=(height, width))
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


def _agreed(shifts: np.ndarray, places: np.ndarray, is_corner: np.ndarray) -> tuple[float, float, float]:
    """Return the shift in px and the zoom on which most blocks agree; zeros where they do not."""
    count = len(shifts)
    if count < _LEAST_BLOCKS:
        return 0.0, 0.0, 0.0
    first, second = np.triu_indices(count, 1)
    apart = places[second] - places[first]
    zooms = ((shifts[second] - shifts[first]) * apart).sum(1) / (apart**2).sum(1)
    zooms = np.concatenate([zooms, np.zeros(count)])  # and one of no zoom for each block
    starts = np.concatenate([first, np.arange(count)])
    bases = shifts[starts] - zooms[:, None] * places[starts]
    off = np.abs(shifts[None] - bases[:, None] - zooms[:, None, None] * places[None]).max(2)
    agree = off < _OFF_PX
    best = agree[agree.sum(1).argmax()]
    if best.sum() < max(_LEAST_BLOCKS, _AGREE * count) or (best & is_corner).sum() < _LEAST_CORNERS:
        return 0.0, 0.0, 0.0
    middle = places[best].mean(0)
    spread = places[best] - middle
    zoom = float((shifts[best] * spread).sum() / (spread**2).sum())
    down, right = shifts[best].mean(0) - zoom * middle
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
