"""Sound: the formats it is written in, the memory it takes, and ComfyUI's AUDIO as samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from .picture import as_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import ClipFacts

AAC_RATES_HZ = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
"""The sample rates of AAC up to 48 kHz (ISO 14496-3), which every player supports."""
USUAL_RATE_HZ = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_BEYOND_SECONDS = 1  # an encoder's padding
_WAVE_AXES = 3
_MOST_PLANES = 7  # PyAV miscounts the planes of a frame with eight channels


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """The rate and layout of float samples."""

    rate_hz: int
    layout: str
    """FFmpeg's name: "mono", "stereo", "5.1", ..."""
    channels: int

    @classmethod
    def for_aac(cls, rate_hz: int, channels: int) -> SoundFormat:
        """Return the nearest format for AAC: mono, stereo or 5.1 at one of `AAC_RATES_HZ`."""
        layout = _AAC_LAYOUTS.get(channels, "stereo")
        rate_hz = rate_hz if rate_hz in AAC_RATES_HZ else USUAL_RATE_HZ
        return cls(rate_hz, layout, channels if channels in _AAC_LAYOUTS else 2)

    @classmethod
    def as_is(cls, rate_hz: int, channels: int) -> SoundFormat:
        """Return the format that keeps rate and channels; more than seven channels become 5.1."""
        channels = channels if channels <= _MOST_PLANES else 6
        return cls(rate_hz, _LAYOUTS[channels], channels)

    @property
    def bit_rate(self) -> int:
        """Return AAC's bits per second without audible loss, within what its encoder takes at 8 kHz."""
        return min(96_000 * self.channels, 384_000, 4 * self.rate_hz * self.channels)

    def frame(self, wave: np.ndarray, position: int) -> AudioFrame:
        """Return (channels, samples) float32 in -1..1 as a frame that starts at sample number `position`."""
        if self.channels > _MOST_PLANES:
            interleaved = np.ascontiguousarray(wave.T).reshape(1, -1)
            frame = AudioFrame.from_ndarray(interleaved, format="flt", layout=self.layout)
        else:
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=self.layout)
        frame.sample_rate = self.rate_hz
        frame.time_base = Fraction(1, self.rate_hz)
        frame.pts = position
        return frame


def longest_sound(facts: ClipFacts) -> Fraction:
    """Return the most seconds of sound to read; a wrong time stamp must not become hours of silence."""
    sound_seconds = facts.sound.duration_seconds if facts.sound else 0.0
    return Fraction(max(facts.duration_seconds, sound_seconds)) + _BEYOND_SECONDS


def sound_memory_bytes(facts: ClipFacts, seconds: Fraction) -> int:
    """Return the bytes that decoding some seconds of sound takes: once in pieces and once as a whole."""
    if facts.sound is None:
        return 0
    return math.ceil(seconds * facts.sound.sample_rate_hz) * facts.sound.channels * 4 * 2


def waveform(audio: dict[str, Any]) -> tuple[np.ndarray, int]:
    """Return ComfyUI's AUDIO as (channels, samples) float32, at most 8 channels, and its rate in Hz."""
    wave = as_array(audio["waveform"])
    if wave.ndim == _WAVE_AXES:
        wave = wave[0]
    wave = np.nan_to_num(np.atleast_2d(wave).astype(np.float32, copy=False))
    return wave[: max(_LAYOUTS)], int(audio["sample_rate"])


def sound_part(
    audio: dict[str, Any] | None, start: Fraction, seconds: Fraction | None
) -> dict[str, Any] | None:
    """Return ComfyUI's AUDIO from a moment on, and for so many seconds; None is to its end."""
    if audio is None:
        return None
    rate_hz = int(audio["sample_rate"])
    begin = round(start * rate_hz)
    end = None if seconds is None else begin + round(seconds * rate_hz)
    return {**audio, "waveform": audio["waveform"][..., begin:end]}


def waveform_chunks(wave: np.ndarray, rate_hz: int, form: SoundFormat) -> Iterator[np.ndarray]:
    """Yield (channels, samples) float32 resampled to `form`, about one second at a time."""
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
