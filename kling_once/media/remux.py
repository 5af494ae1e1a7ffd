"""A clip into an MP4 without touching its pictures."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from .container import check_stop, open_clip, picture_stream, sound_stream, tick, translating
from .sound import SoundFormat, SoundReader, longest_sound

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer, OutputContainer

    from .types import ClipFacts, Stop


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
