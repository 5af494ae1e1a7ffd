"""Join clips into one: packets are copied where the tracks agree, else pictures or sound are encoded anew."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from av.error import FFmpegError

from ..errors import UnreadableMedia
from .encode import open_mp4, writing_clip
from .joined_sound import (
    Span,
    encoded_sound,
    placed_sound,
    sound_format,
    sound_packets,
    sound_waves,
    unlike_sound,
)
from .plan import Canvas, ClipPlan, Work, constant_rate
from .probe import probe_clip
from .reader import ClipReader, demuxed
from .source import check_stop, open_clip, picture_stream, sound_stream, tick
from .transcode import Conversion
from .types import TrimWindow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame

    from .types import ClipFacts, OnProgress, Stop

_CONTAINERS = frozenset({"mp4", "mov"})
_CODECS = frozenset({"h264", "hevc"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip to join, or the part of it that is meant."""

    path: Path
    window: TrimWindow | None = None
    overlap_seconds: Fraction | float = 0
    """How much of its beginning the clip before it has shown already; it is left out."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of some clips."""

    seconds: Fraction
    report: tuple[str, ...]
    """What was encoded anew, in one sentence each; empty when all was copied."""


class _Unlike(Exception):
    """Packets of these clips cannot follow each other."""


def join_clips(
    pieces: Sequence[Piece],
    target: Path,
    *,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Joined:
    """Write clips one after another into one MP4; memory stays flat whatever their length.

    Each clip's sound begins with its pictures, within half an AAC packet (12 ms) where it is copied and
    exactly where it is not. Pictures that are encoded anew get the first clip's size and rate. `target` is
    replaced, and removed on failure.

    Raises:
        UnreadableMedia: A clip is damaged, or nothing is left of it without its overlap.
        DiskFull: There is no room for `target`.
    """
    spans = _spans(pieces, stop)
    if (pictures := _unlike_pictures(spans)) is None:
        sound = unlike_sound(spans)
        try:
            sound = _copy(spans, target, sound, stop, on_progress)
        except (_Unlike, FFmpegError):
            target.unlink(missing_ok=True)
            pictures = "their packets do not follow each other"
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        else:
            told = () if sound is None else (f"The sound was encoded anew, since {sound}.",)
            return Joined(spans[-1].end, told)
    _encode(spans, target, stop, on_progress)
    return Joined(spans[-1].end, (f"Pictures and sound were encoded anew, since {pictures}.",))


def _spans(pieces: Sequence[Piece], stop: Stop | None) -> list[Span]:
    if not pieces:
        raise UnreadableMedia("There is no clip to join.", hint="Wire at least one video.")
    spans: list[Span] = []
    at = Fraction(0)
    for piece in pieces:
        facts = probe_clip(piece.path, stop=stop)
        whole = Fraction(facts.duration_seconds).limit_denominator(1_000_000)
        window = piece.window or TrimWindow()
        begin = Fraction(window.start_seconds).limit_denominator(1_000_000)
        left = whole - begin
        if window.duration_seconds:
            left = min(left, Fraction(window.duration_seconds).limit_denominator(1_000_000))
        overlap = Fraction(piece.overlap_seconds).limit_denominator(1_000_000)
        frame = 1 / constant_rate(facts)
        if left - overlap < frame:
            raise UnreadableMedia(
                f"{piece.path.name} lasts {float(left):.2f} s; nothing is left of it without"
                f" {float(overlap):g} s of overlap.",
                hint="Use the overlap that the video was split with.",
            )
        is_whole = not begin and not overlap and whole - left < frame / 2
        spans.append(Span(piece.path, facts, begin + overlap, left - overlap, at, is_whole))
        at += left - overlap
    return spans


def _unlike_pictures(spans: Sequence[Span]) -> str | None:
    """Return why pictures cannot be copied, None where they can."""
    if any(not span.is_whole for span in spans):
        return "parts of them are left out"
    for span in spans:
        facts = span.facts
        if facts.container not in _CONTAINERS or facts.video_codec not in _CODECS:
            return f"{span.path.name} is stored as {facts.video_codec} in {facts.container}"
        if facts.rotation_degrees or facts.is_mirrored or not facts.has_square_pixels:
            return f"{span.path.name} is stored turned or stretched"
    return None if len({_picture_form(span) for span in spans}) == 1 else "their pictures differ in form"


def _picture_form(span: Span) -> tuple[object, ...]:
    facts = span.facts
    with open_clip(span.path) as container:
        setup = bytes(picture_stream(container, span.path).codec_context.extradata or b"")
    colors = (facts.color_primaries, facts.color_transfer, facts.color_space, facts.color_range)
    size = (facts.stored_width_px, facts.stored_height_px)
    return (facts.video_codec, size, facts.pixel_format, facts.frame_rate, colors, setup)


def _copy(
    spans: Sequence[Span],
    target: Path,
    why: str | None,
    stop: Stop | None,
    on_progress: OnProgress | None,
) -> str | None:
    """Copy pictures, and sound unless there is a reason not to; return why it could not be copied.

    Raises:
        _Unlike: The packets of the pictures cannot follow each other.
    """
    packets: list[Packet] = []
    has_sound = any(span.facts.sound for span in spans)
    if has_sound and why is None:
        packets, why = sound_packets(spans, stop)
    with open_clip(spans[0].path) as first, open_mp4(target) as output:
        pictures = output.add_stream_from_template(picture_stream(first, spans[0].path))
        sound: Iterator[tuple[Fraction, list[Packet]]] = iter(())
        if packets:
            track = sound_stream(first)
            assert track is not None  # noqa: S101 - for the type checker: its packets are there
            sound = placed_sound(packets, output.add_stream_from_template(track))
        elif has_sound:
            sound = encoded_sound(spans, output, stop)
        _interleave(spans, output, pictures, sound, stop, on_progress)
    return why


def _interleave(
    spans: Sequence[Span],
    output: OutputContainer,
    pictures: Stream,
    sound: Iterator[tuple[Fraction, list[Packet]]],
    stop: Stop | None,
    on_progress: OnProgress | None,
) -> None:
    """Write the pictures' packets, and before each the sound that is due by then."""
    total = sum(span.facts.frame_count for span in spans)
    waiting = next(sound, None)
    last: Fraction | None = None
    for written, (packet, moment) in enumerate(_picture_packets(spans, stop), 1):
        if last is not None and moment <= last:
            raise _Unlike
        last = moment
        while waiting is not None and waiting[0] <= moment:
            output.mux(waiting[1])
            waiting = next(sound, None)
        packet.stream = pictures
        output.mux(packet)
        if on_progress:
            on_progress(written, total)
    while waiting is not None:
        output.mux(waiting[1])
        waiting = next(sound, None)


def _picture_packets(spans: Sequence[Span], stop: Stop | None) -> Iterator[tuple[Packet, Fraction]]:
    """Yield each packet at its place in the whole, and when it is decoded.

    Raises:
        _Unlike: A clip begins with something else than a key frame, hides frames, or has no decoding times.
    """
    for span in spans:
        with open_clip(span.path) as container:
            video = picture_stream(container, span.path)
            base, is_first = tick(video), True
            shift = round((span.at - span.origin) / base)
            for packet in demuxed(container, video, stop=stop):
                if not packet.size:
                    continue
                if packet.dts is None or packet.pts is None or packet.is_discard:
                    raise _Unlike
                if is_first and not packet.is_keyframe:
                    raise _Unlike
                is_first = False
                packet.dts += shift
                packet.pts += shift
                yield packet, packet.dts * base


def _encode(spans: Sequence[Span], target: Path, stop: Stop | None, on_progress: OnProgress | None) -> None:
    first = spans[0].facts
    size_px = (first.width_px - first.width_px % 2, first.height_px - first.height_px % 2)
    rate, form = constant_rate(first), sound_format(spans)
    total = round(spans[-1].end * rate)
    sound = iter(()) if form is None else sound_waves(spans, form, stop)
    with writing_clip(target, size_px=size_px, rate=rate, sound=form) as writer:
        samples = 0
        for span in spans:
            count = round(span.end * rate) - writer.frames_written
            for picture in _pictures(span, size_px, rate, count, stop):
                check_stop(stop)
                writer.picture(picture)
                while form is not None and samples <= writer.frames_written / rate * form.rate_hz:
                    wave = next(sound, None)
                    if wave is None:
                        break
                    writer.sound(wave)
                    samples += wave.shape[1]
                if on_progress:
                    on_progress(writer.frames_written, total)
        for wave in sound:
            writer.sound(wave)


def _pictures(
    span: Span, size_px: tuple[int, int], rate: Fraction, count: int, stop: Stop | None
) -> Iterator[VideoFrame]:
    plan = ClipPlan(Work.REENCODE, span.start, count, rate, _canvas(span.facts, size_px), (), ())
    with open_clip(span.path) as container:
        reader = ClipReader(container, span.path, start=span.origin if span.start else None, stop=stop)
        yield from Conversion(reader, span.facts, plan, span.origin).pictures()


def _canvas(facts: ClipFacts, size_px: tuple[int, int]) -> Canvas:
    """Return how a clip fills a size: as it is, without an odd row or column, or scaled between bars."""
    even = (facts.width_px - facts.width_px % 2, facts.height_px - facts.height_px % 2)
    if even == size_px:
        is_cropped = even != (facts.width_px, facts.height_px)
        return Canvas(*even, *size_px, is_scaled=False, is_cropped=is_cropped)
    factor = min(size_px[0] / facts.width_px, size_px[1] / facts.height_px)
    width, height = (
        min(most, max(2, round(side * factor / 2) * 2))
        for side, most in zip((facts.width_px, facts.height_px), size_px, strict=True)
    )
    return Canvas(width, height, *size_px, is_scaled=True, is_cropped=False)
