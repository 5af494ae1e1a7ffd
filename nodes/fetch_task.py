"""Fetch Task: the video of a task that exists, by its id."""

from __future__ import annotations

from typing import Any

from .delivery import delivered
from .host import io
from .inputs import CATEGORY, delivered_outputs, profile_input, project_input, service_input
from .orders import off_text
from .running import HIDDEN, Running, explained, fingerprint_of_this_queueing
from .values import choice, text


class FetchTask(io.ComfyNode):
    """Fetch a task's video; pays nothing."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_FetchTask",
            display_name="Kling Once Fetch Task",
            category=CATEGORY,
            description="Fetches the video of a motion-control task that exists, whoever made it."
            " Pays nothing. Kling keeps results for 30 days; what is kept here stays.",
            search_aliases=["kling", "task id", "recover", "resume", "download", "lost"],
            inputs=[
                io.String.Input("id", default="", optional=True, tooltip="The id of the task."),
                io.Combo.Input(
                    "by",
                    options=["task_id", "external_task_id"],
                    default="task_id",
                    optional=True,
                    tooltip="Which of the task's two ids it is.",
                ),
                service_input(),
                profile_input(),
                project_input(),
            ],
            outputs=delivered_outputs(),
            hidden=list(HIDDEN),
        )

    @classmethod
    @explained
    async def execute(cls, **inputs: Any) -> Any:
        """Run the node."""
        from ..kling_once.jobs.adopting import Wanted  # noqa: PLC0415 - nothing heavy before a node runs
        from ..kling_once.jobs.job import Service  # noqa: PLC0415 - likewise

        running = Running.of(cls)
        service = choice(inputs, "service", Service.SANDBOX)
        wanted = Wanted(
            name=text(inputs, "id").strip(),
            service=service,
            profile=text(inputs, "profile"),
            project=text(inputs, "project"),
            by_external_id=inputs.get("by") == "external_task_id",
            kept_only=off_text(service),
        )
        outcome = await running.follow(lambda engine, listen: engine.fetch(wanted, listen))
        return await delivered(running, outcome)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run at every queueing: it is free, and the task may have moved on."""
        return fingerprint_of_this_queueing()
