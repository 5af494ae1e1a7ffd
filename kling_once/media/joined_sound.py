"""The sound of clips that are joined: their packets dated anew, or all of it as samples."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .encode import SoundTrack
from .reader import SoundReader, demuxed
from .sound import SoundFormat
from .source import check_stop, open_clip, sound_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

    from .types import ClipFacts, Stop

_PACKET_SAMPLES = 1024  # of AAC
_LEAST_RATE_HZ = 22050  # below, half a packet is more than 23 ms
_MOST_MISSING = 1  # packets of sound between two clips, 23 ms at most


@dataclass(frozen=True, slots=True)
class Span:
    """One clip and its place in the whole."""

    path: Path
    facts: ClipFacts
    start: Fraction
    """Seconds after its first frame."""
    seconds: Fraction
    at: Fraction
    """Seconds in the joined clip."""
    is_whole: bool

    @property
    def origin(self) -> Fraction:
        """Return where it begins on its file's timeline."""
        return self.facts.picture_start + self.start

    @property
    def end(self) -> Fraction:
        """Return where it ends in the joined clip."""
        return self.at + self.seconds


def unlike_sound(spans: Sequence[Span]) -> str | None:
    """Return why sound cannot be copied, None where it can or where there is none."""
    if all(span.facts.sound is None for span in spans):
        return None
    if any(span.facts.sound is None for span in spans):
        return "not all of them have sound"
    if len({_sound_form(span) for span in spans}) > 1:
        return "their sound differs in form"
    sound = spans[0].facts.sound
    if sound is not None and (sound.codec != "aac" or sound.sample_rate_hz < _LEAST_RATE_HZ):
        return f"it is {sound.codec} of {sound.sample_rate_hz} Hz"
    return None


def _sound_form(span: Span) -> tuple[object, ...]:
    sound = span.facts.sound
    with open_clip(span.path) as container:
        stream = sound_stream(container)
        setup = bytes(stream.codec_context.extradata or b"") if stream else b""
    return (sound and (sound.codec, sound.sample_rate_hz, sound.channels), setup)


def sound_packets(spans: Sequence[Span], stop: Stop | None) -> tuple[list[Packet], str | None]:
    """Return the packets of all sound, dated anew, or why they cannot follow each other.

    Every packet lies on one grid of 1024 samples. A clip's first packet primes its decoder, and so takes the
    place of the last one of the clip before.
    """
    rate_hz = spans[0].facts.sound.sample_rate_hz if spans[0].facts.sound else 0
    places: dict[int, Packet] = {}
    for span in spans:
        end = -(-span.end * rate_hz // _PACKET_SAMPLES)
        with open_clip(span.path) as container:
            stream = sound_stream(container)
            first: tuple[int, int] | None = None
            for packet in demuxed(container, *([stream] if stream else []), stop=stop):
                if not packet.size or packet.pts is None:
                    continue
                samples = round(packet.pts * packet.time_base * rate_hz)
                if first is None:
                    moment = span.at - span.origin + packet.pts * packet.time_base
                    first = (samples, round(moment * rate_hz / _PACKET_SAMPLES))
                place = first[1] + round((samples - first[0]) / _PACKET_SAMPLES)
                if place < end and (place >= 0 or span is spans[0]):
                    places[place] = packet
                packet.pts = packet.dts = place * _PACKET_SAMPLES
                packet.duration = _PACKET_SAMPLES
                packet.time_base = Fraction(1, rate_hz)
    order = sorted(places)
    if any(after - before > 1 + _MOST_MISSING for before, after in pairwise(order)):
        return [], "it is silent in places"
    return [places[place] for place in order], None


def placed_sound(packets: Sequence[Packet], stream: Stream) -> Iterator[tuple[Fraction, list[Packet]]]:
    """Yield packets for a track, and when each is due."""
    for packet in packets:
        packet.stream = stream
        yield Fraction(packet.pts or 0) * packet.time_base, [packet]


def encoded_sound(
    spans: Sequence[Span], output: OutputContainer, stop: Stop | None
) -> Iterator[tuple[Fraction, list[Packet]]]:
    """Yield the sound as AAC, and when each piece of it is due."""
    form = sound_format(spans)
    assert form is not None  # noqa: S101 - for the type checker: some clip has sound
    track = SoundTrack(output, form)

    def pieces() -> Iterator[tuple[Fraction, list[Packet]]]:
        samples = 0
        for wave in sound_waves(spans, form, stop):
            yield Fraction(samples, form.rate_hz), track.encode(wave)
            samples += wave.shape[1]
        yield Fraction(samples, form.rate_hz), track.finish()

    return pieces()


def sound_format(spans: Sequence[Span]) -> SoundFormat | None:
    """Return the best format that one of the clips has, None where none has sound."""
    found = [span.facts.sound for span in spans if span.facts.sound]
    if not found:
        return None
    return SoundFormat.for_aac(
        max(sound.sample_rate_hz for sound in found), max(sound.channels for sound in found)
    )


def sound_waves(spans: Sequence[Span], form: SoundFormat, stop: Stop | None) -> Iterator[np.ndarray]:
    """Yield all sound, (channels, samples) float32; silence where a clip has none."""
    written = 0
    for span in spans:
        with open_clip(span.path) as container:
            reader = SoundReader.of(
                container, span.facts, lambda _rate, _channels: form, origin=span.origin, seconds=span.seconds
            )
            if reader is not None:
                for packet in demuxed(container, reader.stream, stop=stop):
                    for wave in reader.read(packet):
                        written += wave.shape[1]
                        yield wave
                    if reader.is_done:
                        break
                for wave in reader.finish():
                    written += wave.shape[1]
                    yield wave
        missing = round(span.end * form.rate_hz) - written
        while missing > 0:
            check_stop(stop)
            silence = np.zeros((form.channels, min(missing, form.rate_hz)), np.float32)
            missing -= silence.shape[1]
            written += silence.shape[1]
            yield silence
