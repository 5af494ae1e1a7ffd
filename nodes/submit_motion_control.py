"""Submit Motion Control: order now, collect later or elsewhere in the graph."""

from __future__ import annotations

from typing import Any

from .host import io
from .inputs import CATEGORY, JOB, motion_inputs, motion_source_problem
from .orders import order_of
from .running import HIDDEN, Running, explained, fingerprint


class SubmitMotionControl(io.ComfyNode):
    """Order a video and go on as soon as the task exists."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_SubmitMotionControl",
            display_name="Kling Once Submit Motion Control",
            category=CATEGORY,
            description="Orders a video and goes on as soon as Kling has the task. Wire job to"
            " Kling Once Collect Motion Control."
            " The same inputs are paid once, however often they are queued.",
            search_aliases=["kling", "motion control", "submit", "start", "parallel", "batch"],
            inputs=motion_inputs(waits=False),
            outputs=[JOB.Output(display_name="job"), io.String.Output(display_name="task_id")],
            hidden=list(HIDDEN),
            is_output_node=True,
        )

    @classmethod
    @explained
    async def execute(cls, **inputs: Any) -> Any:
        """Run the node."""
        running = Running.of(cls)
        order = await order_of(cls, inputs)
        attempt = await running.follow(lambda engine, listen: engine.submit(order, listen))
        handle = {"job_key": attempt.job_key, "task_id": attempt.task_id}
        return io.NodeOutput(handle, attempt.task_id or "")

    @classmethod
    def validate_inputs(cls, image: Any = None, motion_source: Any = None) -> str | bool:  # noqa: ARG003 - see MotionControl
        """Answer a missing or unknown motion source in words."""
        return motion_source_problem(motion_source)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run again after an attempt has failed: the job handed over would be the failed one."""
        return fingerprint()
