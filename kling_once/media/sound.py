"""Sound in step with the picture: decoded, placed on the picture's timeline, cut where it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import InvalidDataError

from .pixels import as_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.packet import Packet

    from .types import ClipFacts

AAC_RATES_HZ = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
"""The sample rates of AAC that every player knows (ISO 14496-3)."""
USUAL_RATE_HZ = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_TOLERANCE_SECONDS = Fraction(1, 100)  # rounded time stamps; a real gap is longer
_BEYOND_SECONDS = 1  # an encoder's padding
_WAVE_AXES = 3
_MOST_PLANES = 7  # PyAV miscounts the planes of a frame with eight channels


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """How sound is written: float samples of one rate and layout."""

    rate_hz: int
    layout: str
    """FFmpeg's name: "mono", "stereo", "5.1", ..."""
    channels: int

    @classmethod
    def for_aac(cls, rate_hz: int, channels: int) -> SoundFormat:
        """Return the nearest form that AAC carries: mono, stereo or 5.1 at a usual rate."""
        layout = _AAC_LAYOUTS.get(channels, "stereo")
        rate_hz = rate_hz if rate_hz in AAC_RATES_HZ else USUAL_RATE_HZ
        return cls(rate_hz, layout, channels if channels in _AAC_LAYOUTS else 2)

    @classmethod
    def as_is(cls, rate_hz: int, channels: int) -> SoundFormat:
        """Return the form that keeps rate and channels; more than seven become 5.1."""
        channels = channels if channels <= _MOST_PLANES else 6
        return cls(rate_hz, _LAYOUTS[channels], channels)

    @property
    def bit_rate(self) -> int:
        """Return the bits per second that leave nothing to be heard; little enough for 8 kHz."""
        return min(96_000 * self.channels, 384_000, 4 * self.rate_hz * self.channels)

    def frame(self, wave: np.ndarray, position: int) -> AudioFrame:
        """Return (channels, samples) float32 as a frame that starts at sample number `position`."""
        if self.channels > _MOST_PLANES:
            interleaved = np.ascontiguousarray(wave.T).reshape(1, -1)
            frame = AudioFrame.from_ndarray(interleaved, format="flt", layout=self.layout)
        else:
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=self.layout)
        frame.sample_rate = self.rate_hz
        frame.time_base = Fraction(1, self.rate_hz)
        frame.pts = position
        return frame


class SoundReader:
    """Turns a track's packets into one gapless run of samples that begins at `origin`."""

    def __init__(
        self, stream: AudioStream, form: SoundFormat, *, origin: Fraction, seconds: Fraction | None
    ) -> None:
        """Read `stream` as `form`, from `origin` (seconds on the file's timeline) for at most `seconds`."""
        self.form = form
        self.position = 0
        self._origin = origin
        self._end = None if seconds is None else round(seconds * form.rate_hz)
        self.stream = stream
        self._resampler: AudioResampler | None = None
        self._input: tuple[Any, ...] = ()

    @property
    def is_done(self) -> bool:
        """Tell whether the end is reached."""
        return self._end is not None and self.position >= self._end

    def read(self, packet: Packet) -> Iterator[np.ndarray]:
        """Yield (channels, samples) float32 for one packet; a damaged one becomes silence later."""
        try:
            frames = packet.decode()
        except InvalidDataError:
            return
        for frame in frames:
            if isinstance(frame, AudioFrame):
                yield from self._resampled(frame)

    def finish(self) -> Iterator[np.ndarray]:
        """Yield what the resampler still holds."""
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                yield from self._placed(frame)
            self._resampler = None

    def _resampled(self, frame: AudioFrame) -> Iterator[np.ndarray]:
        described = (frame.format.name, frame.layout.name, frame.sample_rate)
        if described != self._input:
            yield from self.finish()
            self._input = described
            self._resampler = AudioResampler(format="fltp", layout=self.form.layout, rate=self.form.rate_hz)
        assert self._resampler is not None  # noqa: S101 - for the type checker
        if not frame.time_base:
            frame.time_base = self.stream.time_base or Fraction(1, frame.sample_rate)
        for resampled in self._resampler.resample(frame):
            yield from self._placed(resampled)

    def _placed(self, frame: AudioFrame) -> Iterator[np.ndarray]:
        wave = frame.to_ndarray().reshape(self.form.channels, -1)
        if frame.pts is not None and frame.time_base:
            place = round((frame.pts * frame.time_base - self._origin) * self.form.rate_hz)
            gap = place - self.position
            if self.position == 0 or abs(gap) > _TOLERANCE_SECONDS * self.form.rate_hz:
                yield from self._silence(gap)
                wave = wave[:, max(0, -gap) :]
        if self._end is not None:
            wave = wave[:, : max(0, self._end - self.position)]
        if wave.shape[1]:
            self.position += wave.shape[1]
            yield wave

    def _silence(self, samples: int) -> Iterator[np.ndarray]:
        if self._end is not None:
            samples = min(samples, self._end - self.position)
        while samples > 0:
            part = min(samples, self.form.rate_hz)
            self.position += part
            samples -= part
            yield np.zeros((self.form.channels, part), np.float32)


def longest_sound(facts: ClipFacts) -> Fraction:
    """Return the seconds that a clip's sound can last; a time stamp far beyond is no reason for silence."""
    sound_seconds = facts.sound.duration_seconds if facts.sound else 0.0
    return Fraction(max(facts.duration_seconds, sound_seconds)) + _BEYOND_SECONDS


def sound_memory_bytes(facts: ClipFacts, seconds: Fraction) -> int:
    """Return the bytes that so much of a clip's sound takes, once in pieces and once as a whole."""
    if facts.sound is None:
        return 0
    return math.ceil(seconds * facts.sound.sample_rate_hz) * facts.sound.channels * 4 * 2


def waveform(audio: dict[str, Any]) -> tuple[np.ndarray, int]:
    """Return ComfyUI's AUDIO as (channels, samples) float32 and its sample rate in Hz."""
    wave = as_array(audio["waveform"])
    if wave.ndim == _WAVE_AXES:
        wave = wave[0]
    wave = np.nan_to_num(np.atleast_2d(wave).astype(np.float32, copy=False))
    return wave[: max(_LAYOUTS)], int(audio["sample_rate"])


def waveform_chunks(wave: np.ndarray, rate_hz: int, form: SoundFormat) -> Iterator[np.ndarray]:
    """Yield (channels, samples) float32 as `form`, about one second at a time."""
    source = SoundFormat(rate_hz, _LAYOUTS[wave.shape[0]], wave.shape[0])
    if (source.rate_hz, source.layout) == (form.rate_hz, form.layout):
        for start in range(0, wave.shape[1], rate_hz):
            yield wave[:, start : start + rate_hz]
        return
    resampler = AudioResampler(format="fltp", layout=form.layout, rate=form.rate_hz)
    for start in range(0, wave.shape[1], rate_hz):
        for frame in resampler.resample(source.frame(wave[:, start : start + rate_hz], start)):
            yield frame.to_ndarray()
    for frame in resampler.resample(None):
        yield frame.to_ndarray()
