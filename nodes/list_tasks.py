"""List Tasks: a page of the account's motion-control tasks."""

from __future__ import annotations

from typing import Any

from ..kling_once.errors import SubmissionsHeld
from . import host
from .host import ExecutionBlocker, io, ui
from .inputs import CATEGORY, profile_input, service_input
from .orders import off_text
from .running import explained, fingerprint_of_this_queueing
from .task_table import task_table
from .values import choice, text, whole_number


class ListTasks(io.ComfyNode):
    """List tasks; pays nothing."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_ListTasks",
            display_name="Kling Once List Tasks",
            category=CATEGORY,
            description="Lists the motion-control tasks of the account, newest first. Pays nothing.",
            search_aliases=["kling", "tasks", "history", "list"],
            inputs=[
                io.Int.Input(
                    "page", default=1, min=1, max=1000, optional=True, tooltip="1 is the newest; up to 1,000."
                ),
                io.Int.Input(
                    "page_size",
                    default=30,
                    min=1,
                    max=500,
                    optional=True,
                    tooltip="Tasks on a page, 1 to 500.",
                ),
                service_input(),
                profile_input(),
            ],
            outputs=[
                io.String.Output(display_name="table"),
                io.String.Output(
                    display_name="task_ids",
                    is_output_list=True,
                    tooltip="One id for each task: what is wired here runs once for each.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    @explained
    async def execute(cls, **inputs: Any) -> Any:
        """Run the node."""
        from ..kling_once.jobs.job import Service  # noqa: PLC0415 - nothing heavy before a node runs

        service = choice(inputs, "service", Service.SANDBOX)
        page, page_size = whole_number(inputs, "page", 1), whole_number(inputs, "page_size", 30)
        if off := off_text(service):
            raise SubmissionsHeld(off)
        engine = await host.engine()
        listed = await host.watched(engine.list_tasks(service, text(inputs, "profile"), page, page_size))
        tasks = listed.tasks
        table = task_table(tasks)
        ids = [task.task_id for task in tasks] or [ExecutionBlocker(None)]  # core fails on an empty list
        return io.NodeOutput(table, ids, ui=ui.PreviewText(table))

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run at every queueing: it is free, and tasks move on."""
        return fingerprint_of_this_queueing()
