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
_DENSE = 0.1  # of the frames
_MOST_OFF_GRID = 1.001  # frames; a single dropped frame does not make a variable rate
_FALLBACK_RATE = Fraction(25)


@dataclass(slots=True)
class Timeline:
    """The presentation times of one track."""

    time_base: Fraction
    """Seconds."""
    times: list[int] = field(default_factory=list)
    """In units of the time base, in the order of the packets."""
    seen: int = 0
    """Packets read, including those outside the edit list."""
    last_end: int = 0
    last_time: int | None = None

    def add(self, packet: Packet) -> None:
        """Add one packet; one that an edit list hides is only counted as seen."""
        self.seen += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.is_discard:
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
        return min(self.times, default=0) * self.time_base

    def _seconds(self) -> np.ndarray:
        times = np.sort(np.asarray(self.times, dtype=np.float64))
        return (times - times[0]) * float(self.time_base)

    @property
    def _mean_rate(self) -> Fraction | None:
        if self.count < 2 or max(self.times) == min(self.times):  # noqa: PLR2004 - two ends of an interval
            return None
        return Fraction(self.count - 1) / ((max(self.times) - min(self.times)) * self.time_base)

    def _off_grid(self, rate: Fraction) -> float:
        """Return the largest distance of a frame from its place on an even grid, in frames."""
        return float(np.abs(self._seconds() * float(rate) - np.arange(self.count)).max())

    def _usual_rate(self) -> Fraction | None:
        """Return the usual rate whose interval is the median one and on whose grid all frames lie."""
        step = float(np.median(np.diff(self._seconds())))
        tick = float(self.time_base) * 1.01
        near = {rate: self._off_grid(rate) for rate in _USUAL_RATES if abs(float(1 / rate) - step) <= tick}
        best = min(near, key=lambda rate: near[rate], default=None)
        return best if best is not None and near[best] <= _MOST_OFF_GRID else None

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
        return mean.limit_denominator(1001)

    def span(self, stream: VideoStream | AudioStream) -> Fraction:
        """Return the seconds from the first frame's start to the last frame's end."""
        if not self.times:
            return Fraction(0)
        last_time = max(self.times)
        span = (max(self.last_end, last_time) - min(self.times)) * self.time_base
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
