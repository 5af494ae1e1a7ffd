# ruff: noqa: ANN001, ANN003, ANN201, ANN206 - ComfyUI gives these their types
# pyright: reportMissingImports=false
"""Nodes and a route that the host lane puts beside the pack: sources, a failing neighbour, a look inside."""

import asyncio
import gc
import hashlib
import io as std_io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from aiohttp import web
from comfy_api.latest import ComfyExtension, InputImpl, io
from comfy_execution.graph_utils import GraphBuilder
from server import PromptServer

gc.freeze()  # ComfyUI's own collection after a prompt takes up to 1 s, which the lane does not time


class FailAfter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Probe_FailAfter",
            inputs=[io.Float.Input("seconds", default=1.0)],
            outputs=[io.Int.Output()],
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, seconds):
        await asyncio.sleep(seconds)
        raise RuntimeError("the neighbour failed on purpose")

    @classmethod
    def fingerprint_inputs(cls, **_):
        return float("nan")


class Pictures(io.ComfyNode):
    """A list, or one batch, of different pictures."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Probe_Pictures",
            inputs=[
                io.Int.Input("count", default=2, optional=True),
                io.Int.Input("seed", default=0, optional=True),
                io.Int.Input("equal", default=0, optional=True),
                io.Int.Input("side", default=320, optional=True),
            ],
            outputs=[
                io.Image.Output(display_name="list", is_output_list=True),
                io.Image.Output(display_name="batch"),
            ],
        )

    @classmethod
    def execute(cls, count=2, seed=0, equal=0, side=320):
        pictures = []
        for number in range(count):
            generator = torch.Generator().manual_seed(seed * 1000 + (0 if equal else number))
            small = torch.rand((1, 3, 8, 8), generator=generator)
            large = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear")
            pictures.append(large.movedim(1, -1).contiguous())
        return io.NodeOutput(pictures, torch.cat(pictures))


class BytesVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Probe_BytesVideo", inputs=[io.Video.Input("video")], outputs=[io.Video.Output()]
        )

    @classmethod
    def execute(cls, video):
        data = Path(video.get_stream_source()).read_bytes()
        return io.NodeOutput(InputImpl.VideoFromFile(std_io.BytesIO(data)))


class OldVideo(io.ComfyNode):
    """A clip as ComfyUI before 0.23 has it: only saving and its length know a trim."""

    @classmethod
    def define_schema(cls):
        inputs = [io.Video.Input("video"), io.Float.Input("seconds", default=0.0)]
        return io.Schema(node_id="Probe_OldVideo", inputs=inputs, outputs=[io.Video.Output()])

    @classmethod
    def execute(cls, video, seconds):
        trimmed = InputImpl.VideoFromFile(video.get_stream_source(), duration=seconds)
        names = ("get_stream_source", "get_duration", "save_to")
        return io.NodeOutput(SimpleNamespace(**{name: getattr(trimmed, name) for name in names}))


class VideoInfo(io.ComfyNode):
    """What Video Helper Suite's loaders tell of a clip."""

    @classmethod
    def define_schema(cls):
        outputs = [io.Custom("VHS_VIDEOINFO").Output()]
        return io.Schema(node_id="Probe_VideoInfo", inputs=[io.Float.Input("fps")], outputs=outputs)

    @classmethod
    def execute(cls, fps):
        return io.NodeOutput({"source_fps": 60.0, "loaded_fps": fps, "loaded_frame_count": 100})


class Odd(io.ComfyNode):
    """Values that no widget gives."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Probe_Odd", inputs=[io.String.Input("kind")], outputs=[io.AnyType.Output()])

    @classmethod
    def execute(cls, kind):
        return io.NodeOutput({"none": None, "nan": float("nan"), "text": "no such thing"}[kind])


class Expand(io.ComfyNode):
    """A node that puts another in its place, as packs with loops do."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Probe_Expand",
            inputs=[io.Image.Input("image"), io.Video.Input("video"), io.Int.Input("take")],
            outputs=[io.Video.Output(), io.String.Output()],
            enable_expand=True,
        )

    @classmethod
    def execute(cls, image, video, take):
        graph = GraphBuilder()
        source = {"motion_source": "video", "motion_source.video": video}
        node = graph.node("KlingOnce_MotionControl", image=image, take=take, mode="pro", **source)
        return io.NodeOutput(node.out(0), node.out(8), expand=graph.finalize())


class Show(io.ComfyNode):
    """Take anything and say what it is."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Probe_Show", inputs=[io.AnyType.Input("value")], outputs=[], is_output_node=True
        )

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(ui={"seen": [json.dumps(described(value))]})


def described(value: Any):
    if isinstance(value, torch.Tensor):
        return {
            "shape": list(value.shape),
            "contiguous": value.is_contiguous(),
            "digest": hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()[:16]
            if value.numel() < 50_000_000
            else "",
        }
    if hasattr(value, "get_stream_source"):
        source = value.get_stream_source()
        return {
            "file": source if isinstance(source, str) else "",
            "size": list(value.get_dimensions()),
            "seconds": value.get_duration(),
        }
    if isinstance(value, dict) and "waveform" in value:
        return {"waveform": list(value["waveform"].shape), "sample_rate": value["sample_rate"]}
    return value if isinstance(value, (int, float, str, bool, type(None), dict)) else repr(value)


@PromptServer.instance.routes.get("/probe/modules")
async def modules(_request):
    return web.json_response(sorted(sys.modules))


class Probe(ComfyExtension):
    async def get_node_list(self):
        return [FailAfter, Pictures, BytesVideo, OldVideo, VideoInfo, Odd, Expand, Show]


async def comfy_entrypoint():
    return Probe()
