"""Write a clip anew as MP4: `remux` copies its packets, `reencode` corrects and encodes its pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from av.packet import Packet

from ..errors import UnreadableMedia
from .color import tag_open_colors
from .encode import SoundTrack, most_bits_per_second, open_mp4, writing_clip
from .filters import PictureChain
from .plan import PLAIN_SOUND
from .reader import ClipReader, SoundReader, demuxed
from .sound import SoundFormat
from .source import check_stop, open_clip, picture_stream, tick, translating
from .user_data import UserData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame

    from .damage import Damage
    from .plan import ClipPlan
    from .types import ClipFacts, OnProgress, Stop


def reencode(
    source: Path,
    target: Path,
    facts: ClipFacts,
    plan: ClipPlan,
    *,
    max_size_bytes: int,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Damage:
    """Write a clip as planned, as H.264/AAC MP4; memory stays flat whatever the length.

    `target` is removed on failure.

    Args:
        source: The clip.
        target: The file to write; an existing one is replaced.
        facts: What the clip is.
        plan: What to change.
        max_size_bytes: About the largest that `target` may become; limits the bitrate.
        stop: Asked before each packet and each picture.
        on_progress: Called after each picture.

    Returns:
        Which frames of the source are lost.

    Raises:
        UnreadableMedia: Nothing of the part can be decoded, or FFmpeg cannot write `target`.
        DiskFull: There is no room for `target`.
    """
    origin = facts.picture_start + plan.start_seconds
    with open_clip(source) as container:
        sound = SoundReader.of(container, facts, SoundFormat.for_aac, origin=origin, seconds=plan.seconds)
        form = sound.form if sound else None
        opening = writing_clip(
            target,
            size_px=(plan.canvas.width_px, plan.canvas.height_px),
            rate=plan.rate,
            sound=form,
            most_bits_per_second=most_bits_per_second(max_size_bytes, float(plan.seconds), form),
        )
        with opening as writer:
            start = origin if plan.start_seconds else None
            reader = ClipReader(container, source, start=start, sound=sound, on_sound=writer.sound, stop=stop)
            conversion = Conversion(reader, facts, plan, origin)
            for picture in conversion.pictures():
                check_stop(stop)  # between two packets one picture may be repeated for any time
                writer.picture(picture)
                if on_progress:
                    on_progress(writer.frames_written, plan.frame_count)
            reader.finish_sound()
        return reader.damage()


class Conversion:
    """The pictures of one clip on their way through the filters to their places in time."""

    def __init__(self, reader: ClipReader, facts: ClipFacts, plan: ClipPlan, origin: Fraction) -> None:
        self._reader = reader
        self._origin = origin
        self._first_needed = origin - 2 / min(facts.frame_rate, plan.rate)
        """A frame before this is over when the cut begins; the last one before the cut is still needed."""
        self._chain = PictureChain(facts, plan.canvas, reader.time_base)
        self._grid = _Grid(plan.rate, plan.frame_count)

    def pictures(self) -> Iterator[VideoFrame]:
        """Yield the picture for each place of the grid."""
        base, grid = self._reader.time_base, self._grid
        for frame in self._reader.pictures(lambda: grid.is_full):
            if frame.pts is None or frame.pts * base < self._first_needed:
                continue
            for picture in self._chain.convert(frame):
                yield from self._placed(picture)
        for picture in self._chain.finish():
            yield from self._placed(picture)
        if grid.waiting is None:
            raise UnreadableMedia("No picture of that part of the clip can be decoded.")
        yield from grid.finish()

    def _placed(self, picture: VideoFrame) -> Iterator[VideoFrame]:
        at = (picture.pts or 0) * (picture.time_base or self._reader.time_base)
        return self._grid.put(picture, at - self._origin)


@dataclass(slots=True)
class _Grid:
    """The evenly spaced frames of the result: which picture each of them shows."""

    rate: Fraction
    frame_count: int
    next_place: int = 0
    waiting: VideoFrame | None = None

    def put(self, frame: VideoFrame, at: Fraction) -> Iterator[VideoFrame]:
        """Yield the frame before for each place up to that of `frame`, `at` seconds after the cut's start."""
        place = math.floor(at * self.rate + Fraction(1, 2))  # round() would round every second half down
        if self.waiting is not None:
            yield from self._until(place)
        self.waiting = frame

    def finish(self) -> Iterator[VideoFrame]:
        """Yield the last frame for the remaining places."""
        yield from self._until(self.frame_count)

    @property
    def is_full(self) -> bool:
        return self.next_place >= self.frame_count

    def _until(self, place: int) -> Iterator[VideoFrame]:
        while self.waiting is not None and self.next_place < min(place, self.frame_count):
            self.next_place += 1
            yield self.waiting


def remux(source: Path, target: Path, facts: ClipFacts, *, stop: Stop | None = None) -> None:
    """Copy the picture track to an MP4 that begins at 0; sound that is neither AAC nor MP3 becomes AAC.

    `target` is removed on failure.

    Raises:
        UnreadableMedia: The clip is damaged, or an MP4 cannot hold its packets.
        DiskFull: There is no room for `target`.
    """
    try:
        with open_clip(source) as container, translating(target), open_mp4(target) as output:
            _Repacking(container, output, source, facts).run(stop)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class _Repacking:
    """The packets of one clip on their way into an MP4."""

    def __init__(
        self, container: InputContainer, output: OutputContainer, source: Path, facts: ClipFacts
    ) -> None:
        self.container, self.output = container, output
        self.video = picture_stream(container, source)
        self.origin = facts.picture_start
        self.seconds = Fraction(facts.duration_seconds)
        self.streams: list[Stream] = [self.video]
        copy = output.add_stream_from_template(self.video)
        self.copies: dict[int, Stream] = {self.video.index: copy}
        tag_open_colors(copy.codec_context, facts)
        self.reader: SoundReader | None = None
        self.track: SoundTrack | None = None
        self.step = max(1, round(1 / facts.frame_rate / tick(self.video)))
        self.undated: list[Packet] = []
        self.has_begun = False
        head = self.video.codec_context.extradata or b""
        self.user_data = UserData.of(facts.video_codec, head)
        if self.user_data is not None and (kept := self.user_data.removed_from_head(head)) is not head:
            copy.codec_context.extradata = kept
        reader = SoundReader.of(
            container, facts, SoundFormat.for_aac, origin=self.origin, seconds=self.seconds
        )
        if reader is None or facts.sound is None:
            return
        self.streams.append(reader.stream)
        if facts.sound.codec in PLAIN_SOUND:
            self.copies[reader.stream.index] = output.add_stream_from_template(reader.stream)
        else:
            self.reader, self.track = reader, SoundTrack(output, reader.form)

    def run(self, stop: Stop | None) -> None:
        for packet in demuxed(self.container, *self.streams, stop=stop):
            if packet.stream.index in self.copies:
                self._copy(packet)
            elif self.reader is not None:
                self._encode(self.reader.read(packet))
        if self.reader is not None and self.track is not None:
            self._encode(self.reader.finish())
            self.output.mux(self.track.finish())

    def _copy(self, packet: Packet) -> None:
        """Copy one packet that is played; Matroska's first ones have no decoding time, which is filled in.

        FFmpeg also reads a second of what an edit list hides, so that a decoder can warm up; in the copy,
        whose edit list differs, it would be heard.
        """
        if not packet.size or packet.is_discard:
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
        if self._is_idle(packet):
            return
        if packet.stream is self.video and self.user_data is not None:
            packet = _cleaned(packet, self.user_data)
        packet.stream = self.copies[packet.stream.index]
        self.output.mux(packet)

    def _is_idle(self, packet: Packet) -> bool:
        """Tell whether a packet is sound without a picture, or a picture before the first key frame."""
        if packet.stream is not self.video:
            return packet.pts is not None and not 0 <= packet.pts * packet.time_base < self.seconds
        self.has_begun = self.has_begun or packet.is_keyframe
        return not self.has_begun

    def _encode(self, waves: Iterator[np.ndarray]) -> None:
        assert self.track is not None  # noqa: S101 - for the type checker
        for wave in waves:
            self.output.mux(self.track.encode(wave))


def _cleaned(packet: Packet, user_data: UserData) -> Packet:
    """Return a packet without private data between its pictures."""
    data = bytes(packet)
    kept = user_data.removed(data)
    if kept is data:
        return packet
    cleaned = Packet(kept)
    cleaned.stream = packet.stream
    cleaned.time_base = packet.time_base
    cleaned.pts, cleaned.dts, cleaned.duration = packet.pts, packet.dts, packet.duration
    cleaned.is_keyframe = packet.is_keyframe
    return cleaned
