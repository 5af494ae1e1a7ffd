"""The reference video's sound in the result, exactly as long as the result."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Self

import av
import av.error
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

RATES: Final = (44100, 48000)


class Sound:
    """Decode, cut and encode the sound little by little, beside the pictures."""

    def __init__(self, source: Any, output: Any, seconds: Fraction) -> None:
        track = source.streams.audio[0]
        rate = track.rate if track.rate in RATES else 48000
        self._rate = rate
        self._output = output
        self._stream = output.add_stream("aac", rate=rate, layout="stereo")
        self._stream.bit_rate = 128_000
        self._samples_left = int(seconds * rate)
        self._samples_written = 0
        self._pieces = _pieces(source, track, rate)

    @classmethod
    def of(cls, source: Any, output: Any, seconds: Fraction) -> Self | None:
        """Prepare the sound of a clip; None when it has none."""
        return cls(source, output, seconds) if source.streams.audio else None

    def write_until(self, moment: float) -> None:
        """Write sound until `moment` seconds of the result are covered, or the clip has no more."""
        while self._samples_left > 0 and self._samples_written < moment * self._rate:
            piece = next(self._pieces, None)
            if piece is None:
                self._samples_left = 0
                return
            self._write(piece[:, : self._samples_left])

    def finish(self) -> None:
        """Write what is left."""
        self.write_until(float("inf"))
        for packet in self._stream.encode(None):
            self._output.mux(packet)

    def _write(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._samples_written, Fraction(1, self._rate)
        self._samples_written += samples.shape[1]
        self._samples_left -= samples.shape[1]
        for packet in self._stream.encode(frame):
            self._output.mux(packet)


def _pieces(source: Any, track: Any, rate: int) -> Iterator[np.ndarray]:
    """Decode a track to stereo float pieces; a late start becomes silence, a broken end ends it."""
    resampler = av.AudioResampler("fltp", "stereo", rate)
    started = False
    try:
        for frame in source.decode(track):
            if not started and frame.time and frame.time > 0:
                yield np.zeros((2, int(min(frame.time, 60.0) * rate)), np.float32)
            started = True
            for piece in resampler.resample(frame):
                yield piece.to_ndarray()
        for piece in resampler.resample(None):
            yield piece.to_ndarray()
    except av.error.FFmpegError:
        return
