"""Motion Control: a picture of a character and a video of a motion become a video."""

from __future__ import annotations

from typing import Any

from .delivery import delivered
from .host import io
from .inputs import AUDIO_SLOT, CATEGORY, FRAMES_SLOT, delivered_outputs, motion_inputs, motion_source_problem
from .orders import order_of
from .running import HIDDEN, Running, explained, fingerprint


class MotionControl(io.ComfyNode):
    """Order a video, or pick it up where it stands; paid once."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_MotionControl",
            display_name="Kling Once Motion Control",
            category=CATEGORY,
            description="The character of a picture moves as the person in a video does, with your own Kling"
            " account. The same inputs are paid once, however often they are queued."
            " The sandbox is free and needs no key.",
            search_aliases=[
                "kling",
                "motion control",
                "motion transfer",
                "animate character",
                "dance",
                "pose video",
            ],
            inputs=motion_inputs(),
            outputs=delivered_outputs(),
            hidden=list(HIDDEN),
        )

    @classmethod
    @explained
    async def execute(cls, **inputs: Any) -> Any:
        """Run the node."""
        running = Running.of(cls)
        order = await order_of(cls, inputs)
        outcome = await running.follow(lambda engine, listen: engine.run(order, listen))
        return await delivered(running, outcome)

    @classmethod
    def validate_inputs(cls, image: Any = None, motion_source: Any = None) -> str | bool:  # noqa: ARG003 - naming a wired input makes core report what is said here
        """Answer a missing or unknown motion source in words."""
        return motion_source_problem(motion_source)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run again when an output is wired later, and after something has gone wrong."""
        return fingerprint((FRAMES_SLOT, AUDIO_SLOT))
