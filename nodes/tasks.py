"""Fetch Task and List Tasks: tasks that exist, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..kling_once.api.motion_control import Setting
from ..kling_once.errors import SubmissionsHeld
from ..kling_once.order import SERVICES_OFF
from . import host
from .delivery import deliver, delivered_outputs, fingerprint_of_this_queueing
from .host import ExecutionBlocker, io, ui
from .node_run import HIDDEN, NodeRun, announced, as_run
from .orders import CATEGORY, SETTINGS, is_off, setting_inputs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..kling_once.api.models import Task

TASK_ID, EXTERNAL_TASK_ID = "task_id", "external_task_id"
FETCHED = (
    Setting(name="id", default="", is_stripped=True, tip="The id of the task."),
    Setting(
        name="by",
        default=TASK_ID,
        choices=(TASK_ID, EXTERNAL_TASK_ID),
        tip="Which of the task's two ids it is.",
    ),
    *(SETTINGS[name] for name in ("service", "profile", "project")),
)
LISTED = (
    Setting(name="page", default=1, minimum=1, maximum=1000, tip="1 is the newest; up to 1,000."),
    Setting(name="page_size", default=30, minimum=1, maximum=500, tip="Tasks on a page, 1 to 500."),
    *(SETTINGS[name] for name in ("service", "profile")),
)
HEADS = ("created (UTC)", "task_id", "status", "units", "external_task_id", "reason")
REASON_CHARACTERS = 80


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
            inputs=setting_inputs(FETCHED),
            outputs=delivered_outputs(),
            hidden=list(HIDDEN),
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        from ..kling_once.jobs.recovery import Wanted  # noqa: PLC0415 - nothing heavy before a node runs

        values = values_of(FETCHED, inputs)
        wanted = Wanted(
            name=values["id"],
            service=values["service"],
            profile=values["profile"],
            project=values["project"],
            by_external_id=values["by"] == EXTERNAL_TASK_ID,
            kept_only=is_off(values["service"]),
        )
        outcome = await run.follow(lambda engine, listen: engine.fetch(wanted, listen))
        return await deliver(run, outcome)

    check_lazy_status = classmethod(announced)

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
            inputs=setting_inputs(LISTED),
            outputs=list_outputs("task"),
            is_output_node=True,
        )

    @classmethod
    @as_run
    async def execute(cls, _run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        values = values_of(LISTED, inputs)
        if is_off(values["service"]):
            raise SubmissionsHeld(SERVICES_OFF)
        engine = await host.engine()
        page = (values["page"], values["page_size"])
        listed = await host.watched(engine.list_tasks(values["service"], values["profile"], *page))
        return list_shown(task_table(listed.tasks), [task.task_id for task in listed.tasks])

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run at every queueing: it is free, and tasks move on."""
        return fingerprint_of_this_queueing()


def list_outputs(noun: str) -> list[Any]:
    """Return the outputs of a node that lists things: a table for people, and the ids for other nodes."""
    return [
        io.String.Output(display_name="table"),
        io.String.Output(
            display_name=f"{noun}_ids",
            is_output_list=True,
            tooltip=f"One id for each {noun}: what is wired here runs once for each.",
        ),
    ]


def list_shown(table: str, ids: list[str]) -> Any:
    """Return what such a node gives out and shows."""
    given = ids or [ExecutionBlocker(None)]  # core fails on an empty list
    return io.NodeOutput(table, given, ui=ui.PreviewText(table))


def task_table(tasks: Sequence[Task]) -> str:
    """Return one line for each task under a line of heads; never a link."""
    if not tasks:
        return "No tasks on this page."
    return text_table(HEADS, map(_row, tasks))


def text_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return rows of text under a line of heads, in columns."""
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in shown)


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
