"""Collect Motion Control: wait for a submitted job and hand its video over."""

from __future__ import annotations

from typing import Any

from .delivery import delivered
from .host import io
from .inputs import (
    AUDIO_SLOT,
    CATEGORY,
    FRAMES_SLOT,
    JOB,
    delivered_outputs,
    on_failure_input,
    wait_minutes_input,
)
from .running import HIDDEN, Running, explained, fingerprint
from .values import number, refuse


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
