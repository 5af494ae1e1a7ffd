"""The FFmpeg filter graph through which the pictures of a re-encoded clip go."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingMore
from av.filter import Graph
from av.video.frame import VideoFrame

from .color import cube, is_wide, matrix_of
from .probe import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from fractions import Fraction

    from .plan import Canvas
    from .types import ClipFacts

_FLAGS = "bicubic"
_EXACT_FLAGS = "bicubic+accurate_rnd"  # three times slower; without it a change of matrix is off by 4/255
_TABLE_FORMAT = "gbrp16le"


class PictureChain:
    """Turns, crops or scales, tone maps and pads; a change of the source's size makes a new graph."""

    def __init__(self, facts: ClipFacts, canvas: Canvas, time_base: Fraction) -> None:
        self._facts = facts
        self._canvas = canvas
        self._time_base = time_base
        self._graph: Graph | None = None
        self._input: tuple[Any, ...] = ()

    def convert(self, frame: VideoFrame) -> list[VideoFrame]:
        """Return the frames, yuv420p BT.709, that are ready; a deinterlacer holds one back."""
        described = (frame.width, frame.height, frame.format.name)
        held = self.finish() if self._graph is not None and described != self._input else []
        if self._graph is None:
            self._graph = self._build(frame)
            self._input = described
        self._graph.vpush(frame)
        return [*held, *pulled(self._graph.vpull)]

    def finish(self) -> list[VideoFrame]:
        """Return the frames that the graph still holds."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        frames = list(pulled(self._graph.vpull))
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
            nodes.append(graph.add("lut3d", file=str(path), interp="tetrahedral"))  # FFmpeg reads it here
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
        matrix = matrix_of(facts)
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


def pulled(pull: Callable[[], Any]) -> Iterator[VideoFrame]:
    """Yield the frames that a filter graph has ready; `pull` takes the next one from one of its ends."""
    while True:
        try:
            frame = pull()
        except (NothingYet, NothingMore):
            return
        if isinstance(frame, VideoFrame):
            yield frame
