"""What can be done with a task: put it into the graph, open its workflow, adopt it, forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def widgets_of(page: Any, node_type: str) -> dict[str, Any]:
    return page.evaluate(
        """type => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             return Object.fromEntries((node?.widgets ?? []).map(one => [one.name, one.value]));
           }""",
        node_type,
    )


@pytest.fixture
def task(comfy: Any, inputs: Path, graph: Any, screen: Callable[..., Any]) -> Any:
    """Open the page of a task that is kept; return the screen, the tab and the task's id."""
    workflow = {"nodes": [], "links": [], "version": 0.4, "last_node_id": 0, "last_link_id": 0}
    assert comfy.run(graph(take=301, project="actions"), workflow=workflow).ok
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    tasks = seen.tasks()
    (job,) = comfy.get("/kling_direct/jobs?search=actions")["jobs"]
    tasks.open(seen.page.locator(f'.kling-direct-row[data-key="{job["job_key"]}"]'))
    return seen, tasks, job


def test_a_kept_video_becomes_a_load_video_node(task: Any, comfy: Any, shot: Callable[..., Any]) -> None:
    seen, tasks, job = task
    before = seen.page.evaluate(
        "() => window.app.graph.nodes.filter(o => o.comfyClass === 'LoadVideo').length"
    )
    tasks.press("Add as Load Video")
    name = f"{job['file']['subfolder']}/{job['file']['filename']} [output]"
    seen.page.wait_for_function(
        """([count, name]) => {
             const nodes = window.app.graph.nodes.filter(one => one.comfyClass === "LoadVideo");
             return nodes.length === count + 1 && nodes.at(-1).widgets.some(one => one.value === name);
           }""",
        arg=[before, name],
    )
    shot(seen, "added")
    prompt = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": name}},
        "2": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["1", 0], "filename_prefix": "again", "format": "auto", "codec": "auto"},
        },
    }
    assert comfy.run(prompt).ok


def test_a_task_becomes_a_fetch_task_node(task: Any) -> None:
    seen, tasks, job = task
    tasks.press("Add as Kling Fetch Task")
    seen.page.wait_for_function(
        "() => window.app.graph.nodes.some(one => one.comfyClass === 'KlingDirect_FetchTask')"
    )
    values = widgets_of(seen.page, "KlingDirect_FetchTask")
    assert (values["id"], values["service"]) == (job["task_id"], "sandbox")


def test_the_workflow_that_made_a_task_is_opened(task: Any) -> None:
    seen, tasks, _job = task
    tasks.press("Open its workflow")
    seen.page.wait_for_function("() => window.app.graph.nodes.length === 0")


def test_a_row_carries_its_video_when_it_is_dragged(task: Any, comfy: Any) -> None:
    seen, tasks, job = task
    tasks.press("Back to the list")
    row = seen.page.locator(f'.kling-direct-row[data-key="{job["job_key"]}"]')
    row.wait_for()
    carried = row.evaluate(
        """row => {
             const dataTransfer = new DataTransfer();
             row.dispatchEvent(new DragEvent("dragstart", { dataTransfer, bubbles: true }));
             return dataTransfer.getData("text/uri-list");
           }"""
    )
    assert carried.startswith(f"{comfy.url}/api/view?filename={job['file']['filename']}")


def test_a_forgotten_task_leaves_the_list_and_not_the_totals(task: Any, comfy: Any) -> None:
    seen, tasks, job = task
    before = comfy.get("/kling_direct/totals")
    tasks.press("Forget")
    seen.page.locator(".kling-direct-list").wait_for()
    seen.page.locator(f'.kling-direct-row[data-key="{job["job_key"]}"]').wait_for(state="detached")
    assert comfy.get("/kling_direct/totals") == before
