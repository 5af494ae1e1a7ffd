"""One streaming pass over a clip: cut, turned, scaled, coloured, evenly timed, sound in step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from av.error import InvalidDataError
from av.video.frame import VideoFrame

from ..errors import UnreadableMedia
from .chain import PictureChain
from .container import check_stop, open_clip, picture_stream, sound_stream, tick
from .sound import SoundFormat, SoundReader
from .writer import ClipWriter, most_bits_per_second, threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet

    from .plan import ClipPlan
    from .types import ClipFacts, OnProgress, Stop

_MOST_LOST = 2  # of the frames, half may be damaged before the clip counts as unreadable


def reencode(
    source: Path,
    target: Path,
    facts: ClipFacts,
    plan: ClipPlan,
    *,
    max_size_bytes: int,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Write `source` to `target` as planned, as H.264/AAC MP4 of at most about `max_size_bytes`.

    Memory is flat whatever the length. Raises `UnreadableMedia` for a damaged source, `MediaStopped`;
    `target` is removed then.
    """
    with open_clip(source) as container:
        run = _Run(container, source, facts, plan, stop)
        form = run.sound.form if run.sound else None
        writer = ClipWriter(
            target,
            width_px=plan.canvas.width_px,
            height_px=plan.canvas.height_px,
            rate=plan.rate,
            sound=form,
            most_bits_per_second=most_bits_per_second(max_size_bytes, float(plan.seconds), form),
        )
        with writer:
            for picture in run.pictures(writer):
                check_stop(stop)  # one picture may be held for any time, between two packets
                writer.picture(picture)
                if on_progress:
                    on_progress(writer.frames_written, plan.frame_count)
            if run.decoded * _MOST_LOST < min(plan.frame_count, facts.frame_count):
                raise UnreadableMedia(
                    f"Only {run.decoded} of the {facts.frame_count} frames of {source.name} can be decoded.",
                    hint="Export or download it again.",
                )


@dataclass(slots=True)
class _Grid:
    """Even places in time: which frame is shown at which of them."""

    rate: Fraction
    frame_count: int
    next_place: int = 0
    waiting: VideoFrame | None = None

    def put(self, frame: VideoFrame, at: Fraction) -> Iterator[VideoFrame]:
        """Yield the frame before for every place up to this one; `at` counts from the cut's start."""
        place = math.floor(at * self.rate + Fraction(1, 2))  # round() takes every second half down
        if self.waiting is not None:
            yield from self._until(place)
        self.waiting = frame

    def finish(self) -> Iterator[VideoFrame]:
        """Yield the last frame for the places that are left."""
        yield from self._until(self.frame_count)

    @property
    def is_full(self) -> bool:
        return self.next_place >= self.frame_count

    def _until(self, place: int) -> Iterator[VideoFrame]:
        while self.waiting is not None and self.next_place < min(place, self.frame_count):
            self.next_place += 1
            yield self.waiting


class _Run:
    """What one pass reads and where it is."""

    def __init__(
        self, container: InputContainer, path: Path, facts: ClipFacts, plan: ClipPlan, stop: Stop | None
    ) -> None:
        self.container, self.facts, self.plan, self.stop = container, facts, plan, stop
        self.decoded = 0
        self.video = picture_stream(container, path)
        self.video.codec_context.thread_type = "AUTO"
        self.video.codec_context.thread_count = threads()
        self.base = tick(self.video)
        first = Fraction(facts.picture_start_seconds).limit_denominator(1_000_000)
        self.origin = first + plan.start_seconds
        self.sound = self._sound()

    def pictures(self, writer: ClipWriter) -> Iterator[VideoFrame]:
        """Yield converted pictures in their even places; sound goes to `writer` on the way."""
        grid = _Grid(self.plan.rate, self.plan.frame_count)
        chain = PictureChain(self.facts, self.plan.canvas, self.base)
        for packet in self._packets():
            check_stop(self.stop)
            if packet.stream is not self.video:
                self._hear(packet, writer)
            elif not grid.is_full:
                yield from self._placed(packet, grid, chain)
            elif self.sound is None or self.sound.is_done:
                break
        for picture in chain.finish():
            yield from self._put(picture, grid)
        if grid.waiting is None:
            raise UnreadableMedia("No picture of that part of the clip can be decoded.")
        yield from grid.finish()
        if self.sound is not None:
            for wave in self.sound.finish():
                writer.sound(wave)

    def _placed(self, packet: Packet, grid: _Grid, chain: PictureChain) -> Iterator[VideoFrame]:
        try:
            frames = packet.decode()
        except InvalidDataError:
            return  # the frame before stays on screen
        for frame in frames:
            if not isinstance(frame, VideoFrame):
                continue
            self.decoded += 1
            if frame.pts is None:
                frame.pts = frame.dts
            if frame.pts is None or self._is_early(frame):
                continue
            for picture in chain.convert(frame):
                yield from self._put(picture, grid)

    def _put(self, picture: VideoFrame, grid: _Grid) -> Iterator[VideoFrame]:
        at = (picture.pts or 0) * (picture.time_base or self.base) - self.origin
        yield from grid.put(picture, at)

    def _is_early(self, frame: VideoFrame) -> bool:
        """Tell whether a frame is over before the cut begins; the one that begins before is still needed."""
        lasts = 2 / min(self.facts.frame_rate, self.plan.rate)
        return (frame.pts or 0) * self.base < self.origin - lasts

    def _packets(self) -> Iterator[Packet]:
        streams = [self.video] if self.sound is None else [self.video, self.sound.stream]
        if self.plan.start_seconds:
            self.container.seek(int(self.origin / self.base), stream=self.video, backward=True)
        return self.container.demux(*streams)

    def _hear(self, packet: Packet, writer: ClipWriter) -> None:
        if self.sound is not None and not self.sound.is_done:
            for wave in self.sound.read(packet):
                writer.sound(wave)

    def _sound(self) -> SoundReader | None:
        stream = sound_stream(self.container)
        if stream is None or self.facts.sound is None:
            return None
        form = SoundFormat.for_aac(self.facts.sound.sample_rate_hz, self.facts.sound.channels)
        return SoundReader(stream, form, origin=self.origin, seconds=self.plan.sound_seconds)
