"""One streaming pass over a clip: cut, turned, scaled, coloured, evenly timed, sound in step."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from av.error import InvalidDataError
from av.filter import Graph
from av.video.frame import VideoFrame

from ..errors import UnreadableMedia
from .color import cube, is_wide
from .container import (
    check_stop,
    open_clip,
    picture_stream,
    sound_stream,
    tick,
)
from .geometry import Turn
from .sound import SoundFormat, SoundReader
from .writer import ClipWriter, most_bits_per_second, threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet

    from .geometry import Canvas
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


_MATRICES = {
    "bt709": "bt709",
    "bt470bg": "bt601",
    "smpte170m": "bt601",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
_FLAGS = "bicubic"
_EXACT_FLAGS = "bicubic+accurate_rnd"  # three times slower; without it a change of matrix is off by 4/255
_TABLE_FORMAT = "gbrp16le"


class PictureChain:
    """Turns, crops or scales, tone maps and pads; the graph follows a source that changes its size."""

    def __init__(self, facts: ClipFacts, canvas: Canvas, time_base: Fraction) -> None:
        self._facts = facts
        self._canvas = canvas
        self._time_base = time_base
        self._graph: Graph | None = None
        self._input: tuple[Any, ...] = ()

    def convert(self, frame: VideoFrame) -> list[VideoFrame]:
        """Return the frame as yuv420p BT.709; a deinterlacer holds one back."""
        described = (frame.width, frame.height, frame.format.name)
        held = self.finish() if self._graph is not None and described != self._input else []
        if self._graph is None:
            self._graph = self._build(frame)
            self._input = described
        self._graph.vpush(frame)
        return [*held, *_pulled(self._graph)]

    def finish(self) -> list[VideoFrame]:
        """Return what the graph still holds."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        frames = _pulled(self._graph)
        self._graph = None
        return frames

    def _build(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        nodes = [source, *(graph.add(name, args or None) for name, args in self._before_color())]
        table = self._table()
        if table is None:
            nodes += [graph.add("scale", self._scale(out=True)), graph.add("format", "yuv420p")]
            self._finish_graph(graph, nodes)
            return graph
        nodes += [graph.add("scale", self._scale(out=False)), graph.add("format", _TABLE_FORMAT)]
        with tempfile.TemporaryDirectory(prefix="kling-once-") as folder:
            path = Path(folder) / "table.cube"
            path.write_text(table, encoding="ascii")
            nodes.append(graph.add("lut3d", file=str(path), interp="tetrahedral"))  # read at once
        nodes += [
            graph.add("scale", f"out_color_matrix=bt709:out_range=tv:flags={_EXACT_FLAGS}"),
            graph.add("format", "yuv420p"),
        ]
        self._finish_graph(graph, nodes)
        return graph

    def _finish_graph(self, graph: Graph, nodes: list[Any]) -> None:
        canvas = self._canvas
        if canvas.is_padded:
            nodes.append(graph.add("pad", f"{canvas.width_px}:{canvas.height_px}:(ow-iw)/2:(oh-ih)/2"))
        nodes += [graph.add("setsar", "1"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()

    def _before_color(self) -> list[tuple[str, str]]:
        facts, canvas = self._facts, self._canvas
        filters = [("bwdif", "mode=send_frame:deint=interlaced")] if facts.is_interlaced else []
        filters += Turn(facts.rotation_degrees, facts.is_mirrored).filters()
        if canvas.is_cropped and facts.has_square_pixels:
            filters.append(("crop", f"{canvas.content_width_px}:{canvas.content_height_px}:0:0"))
        return filters

    def _scale(self, *, out: bool) -> str:
        facts, canvas = self._facts, self._canvas
        full = facts.color_range == "pc" or facts.pixel_format.startswith("yuvj")
        matrix = _MATRICES.get(facts.color_space)
        if matrix is None:
            # FFmpeg's own assumption, and so what ComfyUI and Kling's decoder make of an untagged clip
            matrix = "bt2020" if facts.is_hdr or facts.color_primaries == "bt2020" else "bt601"
        is_rgb = facts.pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8"))
        flags = _FLAGS if out and matrix == "bt709" and not is_rgb else _EXACT_FLAGS
        parts = [f"{canvas.content_width_px}:{canvas.content_height_px}", f"flags={flags}"]
        if not is_rgb:
            parts += [f"in_color_matrix={matrix}", f"in_range={'pc' if full else 'tv'}"]
        if out:
            parts += ["out_color_matrix=bt709", "out_range=tv"]
        return ":".join(parts)

    def _table(self) -> str | None:
        facts = self._facts
        if facts.is_hdr or is_wide(facts.color_primaries):
            return cube(facts.color_primaries, facts.color_transfer)
        return None


def _pulled(graph: Graph) -> list[VideoFrame]:
    from av.error import BlockingIOError as NothingYet  # noqa: PLC0415 - next to its only use
    from av.error import EOFError as NothingMore  # noqa: PLC0415

    frames = []
    while True:
        try:
            frames.append(graph.vpull())
        except (NothingYet, NothingMore):
            return frames
