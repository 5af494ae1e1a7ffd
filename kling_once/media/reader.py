"""Read a clip packet by packet: pictures decoded, sound resampled and in step with them."""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import InvalidDataError
from av.video.frame import VideoFrame

from .damage import FrameCount
from .source import (
    NO_TIMES,
    check_stop,
    codec_threads,
    has_presentation_times,
    picture_stream,
    sound_stream,
    tick,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

    from .damage import Damage
    from .sound import SoundFormat
    from .types import ClipFacts, Stop

_Decoded = TypeVar("_Decoded", VideoFrame, AudioFrame)
_TOLERANCE_SECONDS = Fraction(1, 100)  # rounded time stamps; a real gap is longer


def demuxed(container: InputContainer, *streams: Stream, stop: Stop | None) -> Iterator[Packet]:
    """Yield the packets of `streams`, of all streams when none is given, and ask `stop` before each.

    The last packet of each stream is empty: decoding it flushes the decoder.
    """
    for packet in container.demux(*streams):
        check_stop(stop)
        yield packet


def decoded(packet: Packet, kind: type[_Decoded]) -> list[_Decoded]:
    """Return the frames that a packet completes; none for a damaged packet, which does not spoil the clip."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, kind)]
    except InvalidDataError:
        return []


class SoundReader:
    """Turns a track's packets into samples without gaps: silence fills what is missing or damaged."""

    def __init__(
        self, stream: AudioStream, form: SoundFormat, *, origin: Fraction, seconds: Fraction
    ) -> None:
        self.stream = stream
        self.form = form
        self.position = 0
        self._origin = origin
        self._end = round(seconds * form.rate_hz)
        self._resampler: AudioResampler | None = None
        self._input: tuple[Any, ...] = ()

    @classmethod
    def of(
        cls,
        container: InputContainer,
        facts: ClipFacts,
        form: Callable[[int, int], SoundFormat],
        *,
        origin: Fraction,
        seconds: Fraction,
    ) -> SoundReader | None:
        """Return a reader of a clip's sound, or None for a clip without sound.

        Args:
            container: The opened clip.
            facts: What the clip is.
            form: Chooses the format from the track's sample rate in Hz and its number of channels.
            origin: Where the first sample lies, in seconds on the file's timeline.
            seconds: The most to read.
        """
        stream, sound = sound_stream(container), facts.sound
        if stream is None or sound is None:
            return None
        return cls(stream, form(sound.sample_rate_hz, sound.channels), origin=origin, seconds=seconds)

    @property
    def is_done(self) -> bool:
        """Tell whether the end is reached."""
        return self.position >= self._end

    def read(self, packet: Packet) -> Iterator[np.ndarray]:
        """Yield the samples of one packet as (channels, samples) float32 in -1..1."""
        for frame in decoded(packet, AudioFrame):
            yield from self._resampled(frame)

    def finish(self) -> Iterator[np.ndarray]:
        """Yield the samples that the resampler still holds."""
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
        wave = wave[:, : max(0, self._end - self.position)]
        if wave.shape[1]:
            self.position += wave.shape[1]
            yield wave

    def _silence(self, samples: int) -> Iterator[np.ndarray]:
        samples = min(samples, self._end - self.position)
        while samples > 0:
            part = min(samples, self.form.rate_hz)
            self.position += part
            samples -= part
            yield np.zeros((self.form.channels, part), np.float32)


class ClipReader:
    """One pass over a clip that decodes its pictures and hands its sound on in step with them."""

    def __init__(
        self,
        container: InputContainer,
        path: Path,
        *,
        start: Fraction | None = None,
        threads: int = 0,
        sound: SoundReader | None = None,
        on_sound: Callable[[np.ndarray], None] | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Prepare the picture track of an opened clip.

        Args:
            container: The opened clip.
            path: Its file, for messages.
            start: Seconds on the file's timeline; reading begins at the key frame before. None is the start.
            threads: Of the decoder; 0 is `codec_threads()`.
            sound: The sound track, None without.
            on_sound: Called with (channels, samples) float32, the next samples of `sound`.
            stop: Asked before each packet and after each piece of sound.

        Raises:
            UnreadableMedia: The clip has no pictures that can be decoded.
        """
        self.video = picture_stream(container, path)
        self.video.codec_context.thread_type = "AUTO"
        self.video.codec_context.thread_count = threads or codec_threads()
        self.time_base = tick(self.video)
        self._container = container
        self._start = start
        self._sound = sound
        self._on_sound = on_sound
        self._stop = stop
        self._count = FrameCount()
        self._is_dated = has_presentation_times(container)
        self._due: deque[int] = deque()
        """Times of the frames that are still to come, where the packets do not say them."""
        self._next_due = 0
        self._is_whole = True

    def pictures(self, is_enough: Callable[[], bool] = bool) -> Iterator[VideoFrame]:
        """Yield decoded frames in presentation order until `is_enough()` and the sound has ended too.

        Where a file has no presentation times, each frame gets the next decoding time as `pts`: frames come
        in the order of presentation, and so do decoding times. Once enough, the pictures that follow are not
        decoded.
        """
        streams = [self.video] if self._sound is None else [self.video, self._sound.stream]
        if self._start is not None and not self._container.format.flags & NO_TIMES:
            self._container.seek(int(self._start / self.time_base), stream=self.video, backward=True)
        for packet in demuxed(self._container, *streams, stop=self._stop):
            if self._sound is not None and packet.stream is self._sound.stream:
                if not self._sound.is_done:
                    self._hand_on(self._sound.read(packet))
            elif not is_enough():
                if packet.size:
                    self._send(packet)
                for frame in decoded(packet, VideoFrame):
                    due = self._due.popleft() if self._due else None
                    if frame.pts is None or not self._is_dated:
                        frame.pts = due
                    self._count.show(frame)
                    yield frame
            else:
                self._is_whole = False
                if self._sound is None or self._sound.is_done:
                    return

    def damage(self) -> Damage:
        """Return which of the frames that were read are lost."""
        start = None if self._start is None else math.ceil(self._start / self.time_base)
        return self._count.damage(self.time_base, start=start, is_whole=self._is_whole)

    def _send(self, packet: Packet) -> None:
        """Note a packet that goes to the decoder; a raw stream has no decoding times either."""
        due = packet.dts if packet.dts is not None else self._next_due
        self._next_due = due + (packet.duration or 0)
        self._due.append(due)
        self._count.send(packet, packet.pts if self._is_dated else due)

    def finish_sound(self) -> None:
        """Hand on the samples that the resampler still holds."""
        if self._sound is not None:
            self._hand_on(self._sound.finish())

    def _hand_on(self, waves: Iterator[np.ndarray]) -> None:
        for wave in waves:
            check_stop(self._stop)
            if self._on_sound is not None:
                self._on_sound(wave)
