"""Motion Control: a picture of a character and a video of a motion become a video."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..kling_once.errors import InputRefused
from ..kling_once.order import read_setting, refuse
from . import host
from .delivery import deliver, delivered_outputs, fingerprint, fingerprint_of_this_queueing
from .host import ExecutionBlocker, InputImpl, io, ui
from .node_run import HIDDEN, NodeRun, Skipped, announced, as_run
from .orders import (
    AUDIO_SLOT,
    CATEGORY,
    FRAMES_SLOT,
    JOB,
    ON_FAILURE,
    SETTINGS,
    motion_source_problem,
    order_inputs,
    order_of,
    order_to_send,
    setting_inputs,
    told,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ..kling_once.jobs.check import Checked

PICTURE_ENDINGS = {".png", ".jpg"}


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
            inputs=order_inputs(),
            outputs=delivered_outputs(),
            hidden=list(HIDDEN),
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        order = await order_to_send(cls, run, inputs)
        outcome = await run.follow(lambda engine, listen: engine.run(order, listen))
        return await deliver(run, outcome)

    check_lazy_status = classmethod(announced)
    validate_inputs = classmethod(motion_source_problem)

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
            inputs=order_inputs(),
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
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        from ..kling_once.jobs.check import Checked  # noqa: PLC0415 - nothing heavy before a node runs

        try:
            order = await order_of(cls, run, inputs)
        except InputRefused as refused:
            checked = Checked(tuple(refused.violations), (), (), None, None, is_kept=False)
        else:
            engine = await host.engine()
            folder = await host.in_thread(host.temp_folder)
            checked = await host.watched(engine.check(order, folder, by_content=True))
        shown = await host.in_thread(_shown, checked)
        host.tell_words(shown[0], checked.violations)
        return io.NodeOutput(*shown, ui=ui.PreviewText(shown[0]))

    check_lazy_status = classmethod(announced)
    validate_inputs = classmethod(motion_source_problem)

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
            inputs=order_inputs(waits=False),
            outputs=[JOB.Output(display_name="job"), io.String.Output(display_name="task_id")],
            hidden=list(HIDDEN),
            is_output_node=True,
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        order = await order_to_send(cls, run, inputs)
        attempt = await run.follow(lambda engine, listen: engine.submit(order, listen))
        await run.end(f"submitted | task {attempt.task_id}")
        handle = {"job_key": attempt.job_key, "task_id": attempt.task_id}
        return io.NodeOutput(handle, attempt.task_id or "")

    check_lazy_status = classmethod(announced)
    validate_inputs = classmethod(motion_source_problem)

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
                *setting_inputs([SETTINGS["wait_minutes"], ON_FAILURE]),
            ],
            outputs=delivered_outputs(),
            hidden=list(HIDDEN),
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        job = inputs.get("job")
        if isinstance(job, Skipped):
            return await run.skip(cls, job.why)
        if not isinstance(job, dict):
            refuse("job", "Nothing came over job. Wire it to Kling Once Submit Motion Control.")
        wait_minutes = read_setting(SETTINGS["wait_minutes"], inputs.get("wait_minutes"))
        outcome = await run.follow(
            lambda engine, listen: engine.collect(job["job_key"], listen, wait_minutes=wait_minutes)
        )
        if outcome.attempt.prompt_id == run.prompt_id:  # bought by the Submit of this very prompt
            outcome = replace(outcome, reused=False)
        return await deliver(run, outcome)

    check_lazy_status = classmethod(announced)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run again when an output is wired later, and after something has gone wrong with the job."""
        return fingerprint((FRAMES_SLOT, AUDIO_SLOT))


def _shown(checked: Checked) -> tuple[Any, ...]:
    """Return report, ok, seconds, units, usd, image and video; blocking."""
    price = checked.price
    units = usd = seconds = 0.0
    if price is not None:
        seconds = float(price.seconds)
        if not checked.is_kept:
            units = float(price.units)
            usd = float(price.cash) if price.currency == "USD" else 0.0
    pictures = [path for path in checked.written if path.suffix in PICTURE_ENDINGS]
    clips = [path for path in checked.written if path.suffix not in PICTURE_ENDINGS]
    return (
        _report(checked),
        checked.ok,
        seconds,
        units,
        usd,
        _image(pictures[0]) if pictures else _nothing("image", checked),
        InputImpl.VideoFromFile(str(clips[0])) if clips else _nothing("video", checked),
    )


def _nothing(output: str, checked: Checked) -> Any:
    """Return what blocks whatever takes an output that has nothing, in words."""
    why = " ".join(map(told, checked.violations)) or "The reference video is a URL, which only Kling fetches."
    return ExecutionBlocker(f"Nothing would be sent as {output}. {why}")


def _report(checked: Checked) -> str:
    """Return what a check found, one line each."""
    if checked.is_kept:
        lines = ["The result is kept here already: running this costs nothing."]
    elif checked.ok:
        lines = ["Ready to send."]
    else:
        lines = ["Would be refused; nothing would be spent:"]
        lines += [f"- {told(violation)}" for violation in checked.violations]
        lines += [f"- {refusal}" for refusal in checked.refusals]
    if checked.price is not None and not checked.is_kept:
        price = checked.price
        cost = f"up to {price.units.normalize():f} units ({price.cash.normalize():f} {price.currency})"
        lines.append(f"Price on Kling: {cost} for {float(price.seconds):.2f} s.")
    return "\n".join([*lines, *checked.report, *checked.notes])


def _image(path: Path) -> Any:
    """Return a picture file as ComfyUI's IMAGE."""
    import numpy as np  # noqa: PLC0415 - nothing heavy before a node runs
    import torch  # noqa: PLC0415 - likewise

    from ..kling_once.media.picture import rgb_pixels  # noqa: PLC0415 - likewise

    pixels = np.array(rgb_pixels(path), dtype=np.float32) / np.float32(255)
    return torch.from_numpy(pixels)[None]
