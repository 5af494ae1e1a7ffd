"""When the frames of a track are shown, and so its frame rate, from the time stamps of its packets."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.stream import VideoStream

_RATES = "24000/1001 24 25 30000/1001 30 48 50 60000/1001 60 120000/1001 120"
_USUAL_RATES = tuple(Fraction(rate) for rate in _RATES.split())
_SNAP = 0.0004  # relative: 24 and 23.976 differ by 0.001, rounding to milliseconds over 3 s is 0.0003
_MILLISECOND = 0.001
_FEWEST_STEPS = 10  # frames from which on an odd first step can be told
_EARLY = 1.2  # times the usual step
_DENSE = 0.1  # of the frames
_MOST_OFF_GRID = 1.001  # frames; a single dropped frame does not make a variable rate
_FALLBACK_RATE = Fraction(25)


@dataclass(slots=True)
class Timeline:
    """The presentation times of one track."""

    time_base: Fraction
    """Seconds."""
    is_dated: bool = True
    """Packets say when their frames are shown; else the decoding times, in order, are those of the frames."""
    times: list[int] = field(default_factory=list)
    """In units of the time base, in the order of the packets."""
    seen: int = 0
    """Packets read, including those outside the edit list."""
    hidden: int = 0
    """Packets that an edit list hides."""
    hidden_time: int = 0
    """How long they last, in units of the time base."""
    last_end: int = 0
    last_time: int | None = None

    def add(self, packet: Packet) -> None:
        """Add one packet; one that an edit list hides is only counted."""
        self.seen += 1
        if packet.is_discard:
            self.hidden += 1
            self.hidden_time += packet.duration or 0
            return
        time = packet.pts if self.is_dated and packet.pts is not None else packet.dts
        if time is None and not self.is_dated:
            time = self.last_end
        if time is None:
            return
        self.times.append(time)
        if self.last_time is None or time >= self.last_time:
            self.last_time = time
            self.last_end = time + (packet.duration or 0)

    @property
    def count(self) -> int:
        """Return the number of frames that are shown."""
        return len(self.times)

    @property
    def start(self) -> Fraction:
        """Return when the first frame is shown, in seconds."""
        return self._first_time * self.time_base

    @property
    def _first_time(self) -> int:
        """Return the first frame's time; a muxer that makes room for B-frames may show it for two steps.

        Then it begins one step before the second, and no frame that follows is late.
        """
        times = sorted(self.times)
        if len(times) < _FEWEST_STEPS:
            return times[0] if times else 0
        first, *steps = np.diff(times)
        step = int(np.median(steps))
        begins_early = _EARLY * step < first <= 2 * step + 1 and max(steps) < _EARLY * step + 1
        return int(times[1]) - step if begins_early else times[0]

    def _seconds(self) -> np.ndarray:
        times = np.sort(np.asarray(self.times, dtype=np.float64))
        times[0] = self._first_time
        return (times - times[0]) * float(self.time_base)

    @property
    def _mean_rate(self) -> Fraction | None:
        if self.count < 2 or max(self.times) == min(self.times):  # noqa: PLR2004 - two ends of an interval
            return None
        return Fraction(self.count - 1) / ((max(self.times) - min(self.times)) * self.time_base)

    def _off_grid(self, rate: Fraction) -> float:
        """Return the largest distance of a frame from its place on an even grid, in frames."""
        return float(self._distances(rate).max())

    def _distances(self, rate: Fraction) -> np.ndarray:
        return np.abs(self._seconds() * float(rate) - np.arange(self.count))

    def _usual_rate(self) -> Fraction | None:
        """Return the usual rate whose interval is the median one and on whose grid all frames lie."""
        step = float(np.median(np.diff(self._seconds())))
        tick = max(float(self.time_base), _MILLISECOND / 2) * 1.01  # Matroska's times stay rounded in an MP4
        near = [rate for rate in _USUAL_RATES if abs(float(1 / rate) - step) <= tick]
        best = min(near, key=lambda rate: float(np.median(self._distances(rate))), default=None)
        return best if best is not None and self._off_grid(best) <= _MOST_OFF_GRID else None

    def rate(self, stream: VideoStream) -> Fraction:
        """Return frames per second: the usual or declared rate nearest to the measured one, else that."""
        mean = self._mean_rate
        rates = (stream.average_rate, stream.guessed_rate)
        declared = [Fraction(rate.numerator, rate.denominator) for rate in rates if rate]
        if mean is None:
            return declared[0] if declared else _FALLBACK_RATE
        usual = self._usual_rate()
        if usual is not None:
            return usual
        for rate in (*_USUAL_RATES, *declared):
            if abs(rate - mean) <= mean * Fraction(_SNAP):
                return rate
        return mean.limit_denominator(1001) or mean

    def seconds(self, stream: VideoStream) -> Fraction:
        """Return how long the frames are shown: their number by their rate where all are there.

        So the container's rounding of time stamps, to milliseconds in Matroska, changes nothing.
        """
        span, rate = self.span(stream), self._usual_rate() if self._mean_rate else None
        even = self.count / rate if rate else span
        return even if rate and abs(even - span) < 1 / rate / 2 else span

    def span(self, stream: VideoStream | AudioStream) -> Fraction:
        """Return the seconds from the first frame's start to the last frame's end."""
        if not self.times:
            return Fraction(0)
        last_time = max(self.times)
        span = (max(self.last_end, last_time) - self._first_time) * self.time_base
        if self.last_end > last_time:
            return span
        rate = self._mean_rate or getattr(stream, "average_rate", None)
        return span + (1 / Fraction(rate) if rate else 0)

    @property
    def is_variable(self) -> bool:
        """Tell whether some frame is more than one frame away from its place on an even grid."""
        mean = self._mean_rate
        if mean is None or self._usual_rate() is not None:
            return False
        return self._off_grid(mean) > _MOST_OFF_GRID

    def peak_rate(self) -> Fraction | None:
        """Return the usual rate nearest to that of the densest tenth of the frames."""
        steps = np.diff(self._seconds())
        steps = steps[steps > 0]
        if not steps.size:
            return None
        peak = 1 / float(np.quantile(steps, _DENSE))
        return min(_USUAL_RATES, key=lambda rate: abs(float(rate) - peak))

    def is_broken_off(self, stream: VideoStream) -> bool:
        """Tell whether the track ends before its header says; some headers only miscount the frames."""
        if not stream.duration or self.last_time is None:
            return True
        declared_end = (stream.start_time or 0) + stream.duration
        step = 1 / self._mean_rate if self._mean_rate else Fraction(1)
        return (declared_end - max(self.last_end, self.last_time)) * self.time_base > step
