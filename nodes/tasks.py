"""Fetch Task: the video of a task that exists, by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..kling_once.errors import SubmissionsHeld
from . import host
from .host import ExecutionBlocker, io, ui
from .inputs import (
    CATEGORY,
    delivered_outputs,
    profile_input,
    project_input,
    service_input,
)
from .orders import (
    choice,
    off_text,
    text,
    whole_number,
)
from .running import (
    HIDDEN,
    Running,
    delivered,
    explained,
    fingerprint_of_this_queueing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kling_once.api.models import Task


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
        from ..kling_once.jobs.recovery import Wanted  # noqa: PLC0415 - nothing heavy before a node runs
        from ..kling_once.order import Service  # noqa: PLC0415 - likewise

        running = Running.of(cls)
        service = choice(inputs, "service", Service.SANDBOX)
        wanted = Wanted(
            name=text(inputs, "id").strip(),
            service=service,
            profile=text(inputs, "profile"),
            project=text(inputs, "project"),
            by_external_id=inputs.get("by") == "external_task_id",
            kept_only=bool(off_text(service)),
        )
        outcome = await running.follow(lambda engine, listen: engine.fetch(wanted, listen))
        return await delivered(running, outcome)

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run at every queueing: it is free, and the task may have moved on."""
        return fingerprint_of_this_queueing()


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
        from ..kling_once.order import Service  # noqa: PLC0415 - nothing heavy before a node runs

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


HEADS = ("created (UTC)", "task_id", "status", "units", "external_task_id", "reason")
REASON_CHARACTERS = 80


def task_table(tasks: Sequence[Task]) -> str:
    """Return one line for each task under a line of heads; never a link."""
    if not tasks:
        return "No tasks on this page."
    rows = [HEADS, *(_row(task) for task in tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(task: Task) -> tuple[str, ...]:
    units = task.final_unit_deduction
    return (
        f"{task.created_at:%Y-%m-%d %H:%M}" if task.created_at else "-",
        task.task_id,
        task.task_status,
        "-" if units is None else f"{units.normalize():f}",
        task.task_info.external_task_id or "-",
        task.task_status_msg[:REASON_CHARACTERS] if task.task_status_msg else "",
    )
