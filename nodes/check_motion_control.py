"""Check Motion Control: everything that would be wrong, and the price, before anything is spent."""

from __future__ import annotations

from typing import Any

from ..kling_once.errors import InputRefused
from . import host
from .host import io, ui
from .inputs import CATEGORY, motion_inputs, motion_source_problem
from .orders import order_of
from .preview import preview
from .running import HIDDEN, explained, fingerprint_of_this_queueing


class CheckMotionControl(io.ComfyNode):
    """Check an order; free."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_CheckMotionControl",
            display_name="Kling Once Check Motion Control",
            category=CATEGORY,
            description="Checks every documented limit and tells the price before anything is spent."
            " Free: nothing is sent. image and video are what would be sent.",
            search_aliases=["kling", "price", "estimate", "cost", "validate", "limits"],
            inputs=motion_inputs(),
            outputs=[
                io.String.Output(display_name="report"),
                io.Boolean.Output(display_name="ok", tooltip="True when the order would be sent."),
                io.Float.Output(display_name="seconds", tooltip="Billed seconds, at the most."),
                io.Float.Output(
                    display_name="units", tooltip="Up to this many units; 0 when it is kept already."
                ),
                io.Float.Output(display_name="usd", tooltip="Up to this much; 0 in the China region."),
                io.Image.Output(display_name="image", tooltip="The picture as it would be sent."),
                io.Video.Output(
                    display_name="video", tooltip="The clip as it would be sent; nothing for a URL."
                ),
            ],
            hidden=list(HIDDEN),
            is_output_node=True,
        )

    @classmethod
    @explained
    async def execute(cls, **inputs: Any) -> Any:
        """Run the node."""
        from ..kling_once.jobs.checking import Checked  # noqa: PLC0415 - nothing heavy before a node runs

        try:
            order = await order_of(cls, inputs)
        except InputRefused as refused:
            checked = Checked(tuple(refused.violations), (), (), None, None, is_kept=False)
        else:
            engine = await host.engine()
            folder = await host.in_thread(host.temp_folder)
            checked = await host.watched(engine.check(order, folder, by_content=True))
        shown = await host.in_thread(preview, checked)
        return io.NodeOutput(*shown, ui=ui.PreviewText(shown[0]))

    @classmethod
    def validate_inputs(cls, image: Any = None, motion_source: Any = None) -> str | bool:  # noqa: ARG003 - see MotionControl
        """Answer a missing or unknown motion source in words."""
        return motion_source_problem(motion_source)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run at every queueing: limits, prices and what is kept may have changed."""
        return fingerprint_of_this_queueing()
