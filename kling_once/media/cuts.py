"""Find cuts in the small pictures of a clip: a cut is a change of the whole scene that lasts."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIDES_PX = (36, 64)  # height and width at which scenes are compared; a portrait clip is squeezed
_GRID = (4, 4)  # regions of a picture, down and across
_RADIUS_PX = 4  # of the window in which texture is compared
_FLAT = 2.0  # grey levels: a window that deviates less from its mean shows nothing to compare
_ALIKE = 0.6  # correlation of two windows from which on they show the same
_SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-2, -1, 0, 1, 2)]
_OPPOSITE = -0.999  # correlation of a picture and its negative: nothing tells what is mixed of them
_MOST_LIKE_REGIONS = 0.4  # of the regions may stay alike: bars and captions at two edges are no new scene
_CHANGED = 0.42  # of a region's texture
_LASTING_SECONDS = 0.3  # what returns to the scene before within this time was a flash
_LOOKS = 4  # pictures on each side that are compared
_AROUND_SECONDS = 0.25  # on each side: how much moves without a cut
_TIMES_THE_MOTION = 2.0
_LEAST_CHANGE = 2.0  # grey levels, so that noise in the dark is no candidate
_BLANK = 3.0  # grey levels: deviation of a picture with nothing to see
_SEEN = 6.0
_DISSOLVE_SECONDS = (0.4, 0.6, 0.8, 1.2)
_DISSOLVE_STEP_SECONDS = 0.1
_BLENDED = (0.75, 0.85, 0.75)
"""Of the variance of three pictures within a dissolve that a mixture of both scenes explains."""
_LEAST_PART = 0.2  # of either scene in the middle of a dissolve
_KEPT_PICTURES = 64  # at the size of the comparison; all of a clip would take as much memory again as it does


def find_cuts(times: np.ndarray, pictures: np.ndarray) -> tuple[float, ...]:
    """Return the seconds at which a new scene begins.

    A flash after which the old scene goes on within 0.3 s, a change of light, of a part of the picture, and
    fast motion are no cuts. A dissolve or a fade to another scene is one, at its middle.

    Args:
        times: (N,) seconds, rising.
        pictures: (N, H, W) grey, 0 to 255; H and W are multiples of 36 and 64, or of 64 and 36.
    """
    scenes = _Scenes(times, pictures)
    found = sorted([*scenes.hard_cuts(), *scenes.fades(), *scenes.dissolves()])
    cuts: list[float] = []
    for moment, tolerance in found:
        if not cuts or moment - cuts[-1] > max(tolerance, _LASTING_SECONDS):
            cuts.append(moment)
    return tuple(round(moment, 3) for moment in cuts)


def _reduced(picture: np.ndarray) -> np.ndarray:
    height, width = _SIDES_PX
    tall, wide = picture.shape
    shape = (height, width) if wide >= tall else (width, height)
    down, across = tall // shape[0], wide // shape[1]
    reduced = np.zeros(shape, np.float32)
    for row in range(down):
        for column in range(across):
            reduced += picture[row::down, column::across]
    reduced /= down * across
    return reduced


class _Scenes:
    """The pictures of a clip, and whether two of them show the same scene."""

    def __init__(self, times: np.ndarray, pictures: np.ndarray) -> None:
        self.times = times
        self._picture = lru_cache(_KEPT_PICTURES)(lambda number: _reduced(pictures[number]))
        self._texture = lru_cache(_KEPT_PICTURES)(lambda number: _texture(self._picture(number)))
        numbers = range(len(pictures))
        self._steps = np.array(
            [
                np.abs(self._picture(after) - self._picture(before)).mean()
                for before, after in pairwise(numbers)
            ]
        )
        """How much each picture but the first differs from the one before."""
        self._spread = np.array([self._picture(number).std() for number in numbers])

    def hard_cuts(self) -> Iterator[tuple[float, float]]:
        """Yield (seconds, tolerance) for each frame that begins a scene which lasts."""
        for number in range(1, len(self.times)):
            if self._is_abrupt(number) and self._lasts(number):
                yield float(self.times[number]), _LASTING_SECONDS

    def fades(self) -> Iterator[tuple[float, float]]:
        """Yield the first frame after each run of blank ones that shows another scene than before."""
        seen = np.flatnonzero(self._spread > _SEEN).tolist()
        for last, first in pairwise(seen):
            between = self._spread[last + 1 : first]
            if between.size and between.min() < _BLANK and self._differ(last, first):
                yield float(self.times[first]), self.times[first] - self.times[last]

    def dissolves(self) -> Iterator[tuple[float, float]]:
        """Yield the middle of each dissolve."""
        moment = self.times[0] + _DISSOLVE_SECONDS[0] / 2 if len(self.times) else np.inf
        while moment < self.times[-1]:
            for seconds in _DISSOLVE_SECONDS:
                if self._is_blend(moment, seconds):
                    yield float(moment), 1.5 * _DISSOLVE_SECONDS[-1]
                    break
            moment += _DISSOLVE_STEP_SECONDS

    def _is_abrupt(self, number: int) -> bool:
        change, at = self._steps[number - 1], self.times[number]
        first, last = np.searchsorted(self.times, (at - _AROUND_SECONDS, at + _AROUND_SECONDS))
        around = np.r_[self._steps[max(0, first - 1) : number - 1], self._steps[number:last]]
        around = around[around > _LEAST_CHANGE / 10]  # without repeated frames
        return change > _LEAST_CHANGE and (
            not around.size or change > _TIMES_THE_MOTION * float(np.median(around))
        )

    def _lasts(self, number: int) -> bool:
        """Tell whether no picture shortly before `number` shows the scene of one shortly after."""
        at = self.times[number]
        first, last = np.searchsorted(self.times, (at - _LASTING_SECONDS, at + _LASTING_SECONDS))
        before, after = _spaced(first, number - 1), _spaced(number, last - 1)
        return all(self._differ(one, other) for one in before[::-1] for other in after)

    def _is_blend(self, moment: float, seconds: float) -> bool:
        """Tell whether the pictures around `moment` go over from one scene to another as mixtures of both."""
        places = moment + seconds * np.array((-0.5, -0.2, 0.0, 0.2, 0.5))
        if places[0] < self.times[0] or places[-1] > self.times[-1]:
            return False
        one, *middle, other = np.minimum(np.searchsorted(self.times, places), len(self.times) - 1)
        if min(self._spread[one], self._spread[other]) < _SEEN:
            return False
        first, last = self._normalized(one), self._normalized(other)
        alike = float(first @ last)
        if alike > _ALIKE or alike < _OPPOSITE:
            return False
        parts = []
        for number, least in zip(middle, _BLENDED, strict=True):  # a least squares fit of two unknowns
            picture = self._normalized(number)
            by_first, by_last = float(first @ picture), float(last @ picture)
            part_first = (by_first - alike * by_last) / (1 - alike**2)
            part_last = (by_last - alike * by_first) / (1 - alike**2)
            if part_first * by_first + part_last * by_last < least * float(picture @ picture):
                return False
            parts.append((part_first, part_last))
        (first_one, first_other), (part_one, part_other), (last_one, last_other) = parts
        return (
            first_one > part_one > last_one
            and first_other < part_other < last_other
            and min(part_one, part_other) > _LEAST_PART
            and self._differ(one, other)
        )

    def _normalized(self, number: int) -> np.ndarray:
        """Return a picture as a vector of mean 0 and length 1, a blank one shorter."""
        picture = self._picture(number).ravel()
        return (picture - picture.mean()) / (max(1.0, float(self._spread[number])) * picture.size**0.5)

    def _differ(self, one: int, other: int) -> bool:
        """Tell whether two pictures show different scenes."""
        mean_one, spread_one = self._texture(one)
        mean_other, spread_other = self._texture(other)
        alike = np.full(mean_one.shape, -1.0, np.float32)
        for shift in _SHIFTS:
            moved = np.roll(self._picture(one), shift, (0, 1)) * self._picture(other)
            common = _smooth(moved) - np.roll(mean_one, shift, (0, 1)) * mean_other
            scale = np.maximum(np.roll(spread_one, shift, (0, 1)), 0.5) * np.maximum(spread_other, 0.5)
            np.maximum(alike, common / scale, out=alike)
        textured = np.maximum(spread_one, spread_other) > _FLAT
        shown = _by_region(textured)
        if not (shown > 0.2).any():  # noqa: PLR2004 - a fifth of a region
            return float(np.abs(self._picture(one) - self._picture(other)).mean()) > 10 * _FLAT
        changed = _by_region(textured & (alike < _ALIKE))[shown > 0.2] / shown[shown > 0.2]  # noqa: PLR2004
        return float(np.quantile(changed, _MOST_LIKE_REGIONS)) > _CHANGED


def _spaced(first: int, last: int) -> list[int]:
    return sorted({round(number) for number in np.linspace(first, last, _LOOKS)})


def _texture(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the window around each pixel."""
    mean = _smooth(picture)
    return mean, np.sqrt(np.maximum(_smooth(picture * picture) - mean * mean, 0))


def _by_region(mask: np.ndarray) -> np.ndarray:
    down, across = _GRID
    return mask.reshape(down, mask.shape[0] // down, across, mask.shape[1] // across).mean((1, 3)).ravel()


def _smooth(picture: np.ndarray) -> np.ndarray:
    """Return the mean of the window around each pixel; the edges count on outwards."""
    size = 2 * _RADIUS_PX + 1
    sums = (
        np.pad(picture, ((_RADIUS_PX + 1, _RADIUS_PX),) * 2, mode="edge")
        .cumsum(0, dtype=np.float64)
        .cumsum(1)
    )
    windows = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return (windows / size**2).astype(np.float32)
