"""Motion Control: a picture of a character and a video of a motion become a video."""

from __future__ import annotations

from typing import Any

from ..kling_once.errors import InputRefused
from . import host
from .host import io, ui
from .inputs import (
    AUDIO_SLOT,
    CATEGORY,
    FRAMES_SLOT,
    JOB,
    delivered_outputs,
    motion_inputs,
    motion_source_problem,
    on_failure_input,
    wait_minutes_input,
)
from .orders import number, order_of, refuse
from .running import (
    HIDDEN,
    Running,
    delivered,
    explained,
    fingerprint,
    fingerprint_of_this_queueing,
    preview,
)


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
        from ..kling_once.jobs.check import Checked  # noqa: PLC0415 - nothing heavy before a node runs

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


class CollectMotionControl(io.ComfyNode):
    """Wait for a job; pays nothing."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_CollectMotionControl",
            display_name="Kling Once Collect Motion Control",
            category=CATEGORY,
            description="Waits for a job of Kling Once Submit Motion Control and hands its video over."
            " Pays nothing.",
            search_aliases=["kling", "motion control", "collect", "wait", "download"],
            inputs=[
                JOB.Input("job", tooltip="From Kling Once Submit Motion Control."),
                wait_minutes_input(),
                on_failure_input(),
            ],
            outputs=delivered_outputs(),
            hidden=list(HIDDEN),
        )

    @classmethod
    @explained
    async def execute(cls, job: Any = None, **inputs: Any) -> Any:
        """Run the node."""
        if not isinstance(job, dict):
            refuse("job", "Nothing came over job. Wire it to Kling Once Submit Motion Control.")
        wait_minutes = number(inputs, "wait_minutes", 60.0)
        running = Running.of(cls)
        outcome = await running.follow(
            lambda engine, listen: engine.collect(job["job_key"], listen, wait_minutes=wait_minutes)
        )
        return await delivered(running, outcome)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run again when an output is wired later, and after something has gone wrong with the job."""
        return fingerprint((FRAMES_SLOT, AUDIO_SLOT))
