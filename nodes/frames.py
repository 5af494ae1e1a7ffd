"""Video Frames: the frames of a video, all of them or those that are needed."""

from __future__ import annotations

from typing import Any

from . import host
from .host import io
from .inputs import CATEGORY
from .orders import number, refuse, whole_number
from .running import explained


class VideoFrames(io.ComfyNode):
    """Decode a video once, into one array."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_VideoFrames",
            display_name="Kling Once Video Frames",
            category=CATEGORY,
            description="Decodes a video to frames and sound: quicker than Get Video Components, in half of"
            " its memory, and only the part that is needed.",
            search_aliases=[
                "video to images",
                "extract frames",
                "split video",
                "decode video",
                "load frames",
            ],
            inputs=[
                io.Video.Input("video", tooltip="Any video; a trim is honoured."),
                io.Float.Input(
                    "start_seconds",
                    default=0.0,
                    min=0.0,
                    max=86_400.0,
                    step=0.01,
                    optional=True,
                    tooltip="Where to begin.",
                ),
                io.Int.Input(
                    "count",
                    default=0,
                    min=0,
                    max=1_000_000,
                    optional=True,
                    tooltip="How many frames; 0 is all.",
                ),
                io.Int.Input(
                    "every_nth",
                    default=1,
                    min=1,
                    max=10_000,
                    optional=True,
                    tooltip="2 takes every second frame and halves fps.",
                ),
                io.Int.Input(
                    "longest_side",
                    default=0,
                    min=0,
                    max=16_384,
                    optional=True,
                    tooltip="Make larger frames this large, in pixels; 0 keeps their size.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames"),
                io.Audio.Output(display_name="audio"),
                io.Float.Output(display_name="fps"),
            ],
        )

    @classmethod
    @explained
    async def execute(cls, video: Any, **inputs: Any) -> Any:
        """Run the node."""
        from .clips import Picked, picked_frames  # noqa: PLC0415 - nothing heavy before a node runs

        if video is None:
            refuse("video", "Nothing came over video.")
        picked = Picked(
            start_seconds=number(inputs, "start_seconds", 0.0),
            count=whole_number(inputs, "count", 0),
            every_nth=whole_number(inputs, "every_nth", 1),
            longest_side_px=whole_number(inputs, "longest_side", 0),
        )
        if picked.every_nth < 1:
            refuse("every_nth", f"every_nth is {picked.every_nth}; 1 takes every frame.")
        decoded = await host.decoding(picked_frames, video, picked)
        return io.NodeOutput(decoded.frames, decoded.audio, float(decoded.fps))
