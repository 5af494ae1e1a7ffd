"""One H.264/AAC MP4 being written: BT.709, constant rate, index at the front, gone on failure."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import av
from av.error import FFmpegError

from .color import BT709, LIMITED
from .container import (
    check_stop,
    open_clip,
    picture_stream,
    sound_stream,
    tick,
    translating,
)
from .sound import SoundFormat, SoundReader, longest_sound

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame

    from .types import ClipFacts, Stop


QUALITY = {"preset": "superfast", "crf": "19", "bf": "0"}
"""x264: 1.7 dB better at a quarter of the time of its defaults; without B-frames every reader,
also one that ignores edit lists, sees the first frame at 0 and the same duration."""
MOST_THREADS = 8  # more only cost memory at these sizes
_SPARE = 0.95  # of the byte limit, for the container and the encoder's overshoot


def threads() -> int:
    """Return how many threads a codec gets."""
    return min(MOST_THREADS, os.cpu_count() or 1)


class ClipWriter:
    """Writes frames and sound as they come; leaving the block on an error removes the file."""

    def __init__(
        self,
        path: Path,
        *,
        width_px: int,
        height_px: int,
        rate: Fraction,
        sound: SoundFormat | None = None,
        most_bits_per_second: int = 0,
    ) -> None:
        """Prepare `path`; sides are even, `most_bits_per_second` caps the picture track (0: no cap)."""
        self.path = path
        self.rate = rate
        self.frames_written = 0
        self._size = (width_px, height_px)
        self._sound = sound
        self._samples_written = 0
        self._most_bits_per_second = most_bits_per_second
        self._container: OutputContainer | None = None
        self._video: Any = None
        self._audio: AudioStream | None = None

    def __enter__(self) -> Self:
        try:
            with translating(self.path):
                options = {"movflags": "+faststart"}
                self._container = av.open(str(self.path.absolute()), "w", format="mp4", options=options)
                self._open_streams(self._container)
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            with translating(self.path):
                self._finish()
        except BaseException:
            self._discard()
            raise

    def picture(self, frame: VideoFrame) -> None:
        """Write one yuv420p frame; its time is its number."""
        frame.pts = self.frames_written
        frame.time_base = 1 / self.rate
        frame.pict_type = 0  # the source's own key frames are not ours
        tag_bt709(frame)
        self.frames_written += 1
        with translating(self.path):
            self._mux(self._video.encode(frame))

    def sound(self, wave: np.ndarray) -> None:
        """Write the next (channels, samples) float32 of the sound track."""
        assert self._sound is not None  # noqa: S101 - a caller with sound has said so at the start
        assert self._audio is not None  # noqa: S101 - for the type checker
        frame = self._sound.frame(wave, self._samples_written)
        self._samples_written += wave.shape[1]
        with translating(self.path):
            self._mux(self._audio.encode(frame))

    def _open_streams(self, container: OutputContainer) -> None:
        self._video = container.add_stream("libx264", rate=self.rate)
        self._video.width, self._video.height = self._size
        self._video.pix_fmt = "yuv420p"
        self._video.time_base = 1 / self.rate
        context = self._video.codec_context
        context.time_base = 1 / self.rate
        context.thread_count = threads()
        tag_bt709(context)
        limit = self._most_bits_per_second
        cap = {"maxrate": str(limit), "bufsize": str(limit)} if limit else {}
        self._video.options = {**QUALITY, **cap}
        if self._sound is not None:
            audio: Any = container.add_stream("aac", rate=self._sound.rate_hz)
            audio.codec_context.layout = self._sound.layout
            audio.codec_context.format = "fltp"
            audio.codec_context.bit_rate = self._sound.bit_rate
            self._audio = audio

    def _mux(self, packets: list[Any]) -> None:
        assert self._container is not None  # noqa: S101 - for the type checker
        self._container.mux(packets)

    def _finish(self) -> None:
        assert self._container is not None  # noqa: S101 - for the type checker
        self._mux(self._video.encode(None))
        if self._audio is not None:
            self._mux(self._audio.encode(None))
        self._container.close()

    def _discard(self) -> None:
        if self._container is not None:
            with suppress(FFmpegError, ValueError):  # the file goes anyway; the first error is told
                self._container.close()
        self.path.unlink(missing_ok=True)


def tag_bt709(target: Any) -> None:
    """Mark a frame or a codec context as BT.709, limited range."""
    for name in ("color_primaries", "color_trc", "colorspace"):
        if hasattr(target, name):  # PyAV 14's frames carry only the last; the codec context says it all
            setattr(target, name, BT709)
    target.color_range = LIMITED


def most_bits_per_second(max_size_bytes: int, seconds: float, sound: SoundFormat | None) -> int:
    """Return the picture bitrate at which a clip of that length stays under `max_size_bytes`.

    The encoder may run one second ahead of its rate (its buffer), which counts as one second more.
    """
    sound_bits = sound.bit_rate * seconds if sound else 0
    return max(100_000, int((max_size_bytes * 8 * _SPARE - sound_bits) / (seconds + 1)))


def remux(source: Path, target: Path, facts: ClipFacts, *, stop: Stop | None = None) -> None:
    """Copy the picture track to an MP4 that begins at 0; sound that is not AAC or MP3 becomes AAC.

    Raises `UnreadableMedia` where the packets do not fit into an MP4, and `MediaStopped`; `target` is
    removed then.
    """
    try:
        with ExitStack() as stack:
            container = stack.enter_context(open_clip(source))
            stack.enter_context(translating(target))
            options = {"movflags": "+faststart"}
            output = stack.enter_context(av.open(str(target.absolute()), "w", format="mp4", options=options))
            _Copy(container, output, source, facts).run(stop)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class _Copy:
    def __init__(
        self, container: InputContainer, output: OutputContainer, source: Path, facts: ClipFacts
    ) -> None:
        self.container, self.output = container, output
        self.video = picture_stream(container, source)
        self.audio = sound_stream(container)
        self.origin = Fraction(facts.picture_start_seconds).limit_denominator(1_000_000)
        self.copies: dict[int, Any] = {self.video.index: output.add_stream_from_template(self.video)}
        self.reader: SoundReader | None = None
        self.encoder: Any = None
        self.samples_written = 0
        self.step = max(1, round(1 / facts.frame_rate / tick(self.video)))
        self.undated: list[Any] = []
        if self.audio is None or facts.sound is None:
            self.audio = None
        elif facts.sound.codec in {"aac", "mp3"}:
            self.copies[self.audio.index] = output.add_stream_from_template(self.audio)
        else:
            form = SoundFormat.for_aac(facts.sound.sample_rate_hz, facts.sound.channels)
            self.reader = SoundReader(self.audio, form, origin=self.origin, seconds=longest_sound(facts))
            self.encoder = output.add_stream("aac", rate=form.rate_hz)
            self.encoder.codec_context.layout = form.layout
            self.encoder.codec_context.format = "fltp"
            self.encoder.codec_context.bit_rate = form.bit_rate

    def run(self, stop: Stop | None) -> None:
        streams = [self.video] if self.audio is None else [self.video, self.audio]
        for packet in self.container.demux(*streams):
            check_stop(stop)
            if packet.stream.index in self.copies:
                self._copy(packet)
            elif self.reader is not None:
                for wave in self.reader.read(packet):
                    self._encode(wave)
        if self.reader is not None:
            for wave in self.reader.finish():
                self._encode(wave)
            self.output.mux(self.encoder.encode(None))

    def _copy(self, packet: Any) -> None:
        """Copy one packet; Matroska does not say when the first ones are decoded, so that is filled in."""
        if not packet.size:
            return
        if packet.dts is None and packet.stream is not self.video:
            packet.dts = packet.pts
        if packet.dts is None:
            self.undated.append(packet)
            return
        if packet.stream is self.video and self.undated:
            undated, self.undated = self.undated, []
            for steps, earlier in enumerate(reversed(undated), 1):
                earlier.dts = packet.dts - steps * self.step
            for earlier in undated:
                self._copy(earlier)
        shift = round(self.origin / packet.time_base)
        packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        if packet.stream is not self.video and packet.pts is not None and packet.pts < 0:
            return  # sound before the first picture
        packet.stream = self.copies[packet.stream.index]
        self.output.mux(packet)

    def _encode(self, wave: Any) -> None:
        assert self.reader is not None  # noqa: S101 - for the type checker
        frame = self.reader.form.frame(wave, self.samples_written)
        self.samples_written += wave.shape[1]
        self.output.mux(self.encoder.encode(frame))
