"""Divide a clip that is too long: at changes of shot, else at the quietest moment near the limit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputRefused, Violation
from .bounds import SPARE_SECONDS, clock
from .cuts import find_cuts
from .plan import constant_rate
from .probe import probe_clip
from .survey import small_frames, small_pictures
from .types import Frames, TrimWindow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .types import ClipBounds, Stop

LONGEST_SECONDS = 600
"""Of a clip to divide: its small pictures are all in memory, about 0.3 GB for 10 minutes."""
SPARE_FACTOR = 2
"""A part may become this many times the shortest and one second more: else what is left may be too short."""
RESULT_RATE = 30
"""Frames per second that Kling delivers (seen in every result so far)."""
_REACH = 0.25  # of the longest part: how far before the limit a quiet moment is looked for
_QUIET_SECONDS = 0.25  # on each side of a moment: the motion that it is judged by
_OFF_GRID = 0.1  # frames of the result by which a part may be longer or shorter than its result
_ALIKE = 1.05  # times the least motion: the latest of such moments is taken
_NOISE = 0.02  # grey levels


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a clip, on its frames."""

    start_seconds: Fraction
    """After the clip's first frame."""
    seconds: Fraction
    overlap_seconds: Fraction = Fraction(0)
    """How much of its beginning the part before it shows too."""

    @property
    def end_seconds(self) -> Fraction:
        """Return where it ends, after the clip's first frame."""
        return self.start_seconds + self.seconds

    def __str__(self) -> str:
        """Return when it is shown: `0:25.2-0:50.4`."""
        return f"{clock(float(self.start_seconds))}-{clock(float(self.end_seconds))}"


@dataclass(frozen=True, slots=True)
class Division:
    """A clip divided into parts."""

    parts: tuple[Part, ...]
    cuts: tuple[float, ...]
    """Changes of shot, in seconds, that are within a part: no part could begin there."""

    @property
    def report(self) -> tuple[str, ...]:
        """Return what each part is, and each change of shot within one."""
        lines = []
        for number, part in enumerate(self.parts, 1):
            lines.append(f"Part {number}: {part} ({float(part.seconds):.2f} s).")
            if part.overlap_seconds:
                shared = float(part.overlap_seconds)
                lines.append(f"Part {number} shows the last {shared:g} s of the one before it again.")
        for cut in self.cuts:
            ended = [part for part in self.parts if part.end_seconds <= cut]
            inside = min(1 + len(ended), len(self.parts))
            lines.append(
                f"Part {inside} holds a change of shot at {clock(cut)}, since what is beside it is too short"
                " for a part. Motion Control refuses it unless cuts is 'send'."
            )
        return tuple(lines)


def split_clip(
    source: Path | Frames,
    bounds: ClipBounds,
    *,
    window: TrimWindow | None = None,
    most_seconds: float = 0,
    overlap_seconds: float = 0,
    stop: Stop | None = None,
) -> Division:
    """Divide a clip into as few parts as fit the limits, each at least as long as the shortest allowed.

    Args:
        source: The clip, or frames in memory.
        bounds: The documented limits.
        window: The part of the file that is meant.
        most_seconds: The longest that a part may be; 0 is the limit.
        overlap_seconds: How much a part shows again of the one before it, unless it begins at a change of
            shot.
        stop: Asked before each packet.

    Raises:
        InputRefused: The numbers leave no room for parts, or the clip is longer than 10 minutes.
        UnreadableMedia: The clip cannot be decoded.
    """
    window = window or TrimWindow()
    limits = _limits(bounds, most_seconds, overlap_seconds)
    if isinstance(source, Frames):
        rate, seconds = Fraction(source.fps), len(source.frames) / Fraction(source.fps)
    else:
        facts = probe_clip(source, stop=stop)
        rate = constant_rate(facts)
        seconds = _exact(facts.duration_seconds)
    start = _exact(window.start_seconds)
    seconds = max(Fraction(0), seconds - start)
    if window.duration_seconds:
        seconds = min(seconds, _exact(window.duration_seconds))
    if _fits(seconds, limits):
        return Division((Part(start, seconds),), ())
    if isinstance(source, Frames):
        small = small_frames(source, stop=stop)
    else:
        small, _damage = small_pictures(source, stop=stop)
    is_meant = (small.times >= float(start) - 0.5 / float(rate)) & (small.times < float(start + seconds))
    times, pictures = small.times[is_meant] - float(start), small.pictures[is_meant]
    cuts = find_cuts(times, pictures)
    found = divide(times, motion_at(times, pictures), cuts, seconds=seconds, rate=rate, limits=limits)
    parts = tuple(replace(part, start_seconds=start + part.start_seconds) for part in found.parts)
    return Division(parts, tuple(float(start) + cut for cut in found.cuts))


def fewest_parts(
    seconds: float, bounds: ClipBounds, *, most_seconds: float = 0, overlap_seconds: float = 0
) -> int:
    """Return how few parts a clip of this length can become.

    Changes of shot may make more; where every part begins at one, nothing overlaps.

    Raises:
        InputRefused: As `split_clip` does.
    """
    limits = _limits(bounds, most_seconds, overlap_seconds)
    length = _exact(seconds)
    return 1 if _fits(length, limits) else max(2, math.ceil(length / limits.longest))


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a part, in seconds."""

    shortest: Fraction
    longest: Fraction
    """The overlap included."""
    overlap: Fraction
    undivided: Fraction
    """The longest clip that is left as it is."""


def _exact(seconds: float | Fraction) -> Fraction:
    return Fraction(seconds).limit_denominator(1_000_000)


def _fits(seconds: Fraction, limits: Limits) -> bool:
    if seconds > LONGEST_SECONDS:
        length, most = clock(float(seconds)), clock(LONGEST_SECONDS)
        _refuse("video", f"video is {length} long; at most {most} are split. Trim it first.")
    return seconds <= limits.undivided


def _limits(bounds: ClipBounds, most_seconds: float, overlap_seconds: float) -> Limits:
    shortest = Fraction(bounds.min_duration_seconds)
    longest = Fraction(bounds.max_duration_seconds) - SPARE_SECONDS
    least = SPARE_FACTOR * shortest + 1
    if most_seconds:
        if not least <= most_seconds <= bounds.max_duration_seconds:
            _refuse(
                "most_seconds",
                f"most_seconds is {most_seconds:g}; with orientation '{bounds.orientation}' it may be"
                f" {float(least):g} to {bounds.max_duration_seconds:g}, and 0 for the limit.",
            )
        longest = min(longest, Fraction(most_seconds).limit_denominator(1000))
    overlap = Fraction(overlap_seconds).limit_denominator(1000)
    if not 0 <= overlap <= longest - shortest - 1:
        _refuse(
            "overlap",
            f"overlap is {overlap_seconds:g} s; with parts of at most {float(longest):g} s it may be 0 to"
            f" {float(longest - shortest - 1):g}.",
        )
    undivided = longest if most_seconds else Fraction(bounds.max_duration_seconds)
    return Limits(shortest, longest, overlap, undivided)


def _refuse(field: str, message: str) -> None:
    raise InputRefused([Violation(field, f"{field}.value", message)])


def motion_at(times: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Return how much moves around each frame, in grey levels a second.

    Args:
        times: (N,) seconds, rising.
        pictures: (N, H, W) uint8.
    """
    steps = np.zeros(len(times))
    for number in range(1, len(times)):
        steps[number] = np.abs(pictures[number].astype(np.int16) - pictures[number - 1]).mean()
    sums = np.concatenate([[0.0], steps.cumsum()])
    first = np.searchsorted(times, times - _QUIET_SECONDS)
    last = np.searchsorted(times, times + _QUIET_SECONDS, side="right")
    return (sums[last] - sums[first]) / (2 * _QUIET_SECONDS)


def divide(
    times: np.ndarray,
    motion: np.ndarray,
    cuts: tuple[float, ...],
    *,
    seconds: Fraction,
    rate: Fraction,
    limits: Limits,
) -> Division:
    """Return the parts of a clip of which every frame's motion is known.

    Args:
        times: (N,) seconds of its frames, from 0 on.
        motion: (N,) how much moves around each.
        cuts: Seconds at which a new shot begins.
        seconds: How long the clip is.
        rate: Its frames per second.
        limits: Of a part.
    """
    bounds, within = [Fraction(0)], []
    for cut in cuts:
        at = _on_frame(cut, rate)
        if at - bounds[-1] >= limits.shortest and seconds - at >= limits.shortest:
            bounds.append(at)
        else:
            within.append(cut)
    quiet = _Quiet(times, motion, rate, limits)
    parts: list[Part] = []
    for begin, end in zip(bounds, [*bounds[1:], seconds], strict=True):
        inner = list(quiet.moments(begin, end))
        for first, last in zip([begin, *inner], [*inner, end], strict=True):
            overlap = quiet.overlap if first != begin else Fraction(0)
            parts.append(Part(first - overlap, last - first + overlap, overlap))
    return Division(tuple(parts), tuple(within))


class _Quiet:
    """The moments of a clip at which little moves; it counts in frames."""

    def __init__(self, times: np.ndarray, motion: np.ndarray, rate: Fraction, limits: Limits) -> None:
        self._times, self._motion, self._rate = times, motion, rate
        self._shortest, self._longest = math.ceil(limits.shortest * rate), math.floor(limits.longest * rate)
        self._overlap = round(limits.overlap * rate)

    @property
    def overlap(self) -> Fraction:
        """Return the seconds of whole frames that overlap."""
        return self._overlap / self._rate

    def moments(self, begin: Fraction, end: Fraction) -> Iterator[Fraction]:
        """Yield where a shot is divided, so that its parts are as few as possible."""
        first, last = round(begin * self._rate), math.ceil(end * self._rate)
        fresh = self._longest - self._overlap  # of its own in a part that is not the first
        count = 1 + max(0, math.ceil((last - first - self._longest) / fresh))
        before = first
        for left in range(count - 1, 0, -1):
            most = self._longest if before == first else fresh
            latest = min(before + most, math.floor(end * self._rate) - left * self._shortest)
            reach = latest - math.floor(_REACH * self._longest)
            earliest = max(before + self._shortest, last - left * fresh, reach)
            begins = before - (self._overlap if before != first else 0)
            before = self._quietest(begins, earliest, latest)
            yield before / self._rate

    def _quietest(self, begins: int, earliest: int, latest: int) -> int:
        """Return the frame before which a part that begins at `begins` ends.

        Where it can be, the part is as long as its result.
        """
        frames = np.arange(earliest, latest + 1)
        lengths = (frames - begins) * float(RESULT_RATE / self._rate)
        off = np.abs(lengths - np.round(lengths))
        frames = frames[off <= max(_OFF_GRID, float(off.min()))]
        at = np.searchsorted(self._times, (frames - 0.5) / float(self._rate))
        motion = self._motion[np.minimum(at, len(self._motion) - 1)]
        alike = np.flatnonzero(motion <= motion.min() * _ALIKE + _NOISE)
        return int(frames[alike[-1]])


def _on_frame(seconds: float, rate: Fraction) -> Fraction:
    return Fraction(round(Fraction(seconds) * rate)) / rate
