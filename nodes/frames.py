"""Video Frames: the frames of a video, all of them or those that are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..kling_once import order
from ..kling_once.api.motion_control import Setting
from ..kling_once.order import refuse
from . import host
from .host import io
from .node_run import NodeRun, as_run
from .orders import CATEGORY, clip_of, setting_inputs, values_of

if TYPE_CHECKING:
    from ..kling_once.media.types import Frames, Stop

CHOICE = (
    Setting(name="start_seconds", default=0.0, minimum=0, maximum=86_400, step=0.01, tip="Where to begin."),
    Setting(name="count", default=0, minimum=0, maximum=1_000_000, tip="How many frames; 0 is all."),
    Setting(
        name="every_nth",
        default=1,
        minimum=1,
        maximum=10_000,
        tip="2 takes every second frame and halves fps.",
    ),
    Setting(
        name="longest_side",
        default=0,
        minimum=0,
        maximum=16_384,
        tip="Make larger frames this large, in pixels; 0 keeps their size.",
    ),
)


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
                *setting_inputs(CHOICE),
            ],
            outputs=[
                io.Image.Output(display_name="frames"),
                io.Audio.Output(display_name="audio"),
                io.Float.Output(display_name="fps"),
            ],
        )

    @classmethod
    @as_run
    async def execute(cls, _run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        if inputs.get("video") is None:
            refuse("video", "Nothing came over video.")
        values = values_of(CHOICE, inputs)
        if values["every_nth"] < 1:
            refuse("every_nth", f"every_nth is {values['every_nth']}; 1 takes every frame.")
        choice = {"longest_side_px": values.pop("longest_side"), **values}
        decoded = await host.decoding(_picked, inputs["video"], choice)
        return io.NodeOutput(decoded.frames, decoded.audio, float(decoded.fps))


def _picked(video: Any, choice: dict[str, Any], *, stop: Stop) -> Frames:
    from ..kling_once.media.decode import decode_clip, pick_frames  # noqa: PLC0415 - nothing heavy before a node runs

    clip = clip_of(video)
    if isinstance(clip, order.VideoFrames):
        return pick_frames(clip.frames, **choice)
    return decode_clip(clip.path, window=clip.window, stop=stop, **choice)
