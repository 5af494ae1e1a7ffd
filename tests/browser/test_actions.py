"""What can be done with a task: put it into the graph, open its workflow, adopt it, forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def route_path(route: Any) -> str:
    return route.request.url.partition("/api")[2]


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
    (job,) = comfy.get("/kling_once/jobs?search=actions")["jobs"]
    tasks.open(seen.page.locator(f'.kling-once-row[data-key="{job["job_key"]}"]'))
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
        "() => window.app.graph.nodes.some(one => one.comfyClass === 'KlingOnce_FetchTask')"
    )
    values = widgets_of(seen.page, "KlingOnce_FetchTask")
    assert (values["id"], values["service"]) == (job["task_id"], "sandbox")


def test_the_workflow_that_made_a_task_is_opened(task: Any) -> None:
    seen, tasks, _job = task
    tasks.press("Open its workflow")
    seen.page.wait_for_function("() => window.app.graph.nodes.length === 0")


def row_of(tasks: Any, job: dict[str, Any]) -> Any:
    row = tasks.page.locator(f'.kling-once-row[data-key="{job["job_key"]}"]')
    row.wait_for()
    return row


def drop(seen: Any, dragged: Any) -> None:
    """Drag something onto an empty place of the canvas."""
    seen.page.evaluate("() => window.app.graph.clear()")
    dragged.drag_to(seen.page.locator("#graph-canvas"), target_position={"x": 760, "y": 420})


def test_a_row_dropped_on_the_canvas_becomes_a_load_video_node(task: Any) -> None:
    seen, tasks, job = task
    tasks.press("Back to the list")
    drop(seen, row_of(tasks, job))
    seen.page.wait_for_function(
        """name => window.app.graph.nodes.some(one =>
             one.comfyClass === "LoadVideo" && one.widgets.some(widget => widget.value === name))""",
        arg=f"{job['file']['subfolder']}/{job['file']['filename']} [output]",
    )


def test_the_fetch_button_dropped_on_the_canvas_becomes_a_fetch_task_node_there(task: Any) -> None:
    seen, _tasks, job = task
    drop(seen, seen.page.get_by_role("button", name="Add as Kling Fetch Task"))
    seen.page.wait_for_function("() => window.app.graph.nodes.length === 1")
    values = widgets_of(seen.page, "KlingOnce_FetchTask")
    assert (values["id"], values["project"]) == (job["task_id"], "actions")
    place = seen.page.evaluate(
        """() => {
             const [node] = window.app.graph.nodes;
             const { ds, canvas } = window.app.canvas;
             const { left, top } = canvas.getBoundingClientRect();
             return [(node.pos[0] + ds.offset[0]) * ds.scale + left,
                     (node.pos[1] + ds.offset[1]) * ds.scale + top];
           }"""
    )
    assert place == pytest.approx([760, 420], abs=60)


def test_a_task_id_is_copied(task: Any) -> None:
    seen, tasks, job = task
    tasks.press("Copy task id")
    seen.said("Task id copied.")
    assert seen.page.evaluate("() => navigator.clipboard.readText()") == job["task_id"]


def test_where_the_browser_has_no_clipboard_the_id_is_shown_selected(task: Any) -> None:
    seen, tasks, job = task
    seen.page.evaluate(
        "() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: undefined })"
    )
    tasks.press("Copy task id")
    seen.page.get_by_text("Copy the task id here").wait_for()
    seen.page.wait_for_function(
        """id => {
             const { activeElement: field } = document;
             return field.value === id && field.selectionStart === 0 && field.selectionEnd === id.length;
           }""",
        arg=job["task_id"],
    )


def test_play_opens_the_task_and_its_video_runs(task: Any) -> None:
    seen, tasks, job = task
    tasks.press("Back to the list")
    row_of(tasks, job).get_by_role("button", name="Play").click()
    seen.page.wait_for_function(
        """() => {
             const video = document.querySelector(".kling-once-video");
             return video && !video.paused && video.currentTime > 0.2;
           }""",
        timeout=60_000,
    )


def test_news_leave_the_tick_the_focus_and_the_player_alone(task: Any) -> None:
    seen, _tasks, job = task
    tick = seen.page.get_by_label("Delete the video file as well")
    tick.check()
    player = seen.page.locator(".kling-once-video").element_handle()
    seen.page.get_by_role("button", name="Copy task id").last.focus()
    with seen.page.expect_response(lambda one: one.url.endswith(f"/jobs/{job['job_key']}")) as answered:
        seen.page.evaluate(
            "key => window.app.api.dispatchCustomEvent('kling_once.job', { job_key: key, state: 'ended' })",
            job["job_key"],
        )
    answered.value.finished()
    seen.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert tick.is_checked()
    assert seen.page.evaluate("() => document.activeElement.textContent") == "Copy task id"
    assert player.evaluate("one => one.isConnected")


def test_an_open_task_catches_up_after_a_broken_socket(task: Any) -> None:
    seen, _tasks, job = task
    with seen.page.expect_response(lambda one: one.url.endswith(f"/jobs/{job['job_key']}")):
        seen.page.evaluate("() => window.app.api.dispatchCustomEvent('reconnected')")


def test_the_list_is_narrowed_to_a_state(task: Any) -> None:
    seen, tasks, job = task
    tasks.press("Back to the list")
    row = row_of(tasks, job)
    seen.page.get_by_label("State").select_option("failed")
    row.wait_for(state="detached")
    seen.page.get_by_label("State").select_option("kept")
    row.wait_for()


def test_a_task_never_submitted_names_no_price_and_can_be_forgotten(
    comfy: Any, task: Any, shot: Callable[..., Any]
) -> None:
    seen, _tasks, job = task
    unsent = {
        "service": "kling",
        "state": "intent",
        "task_id": None,
        "units_charged": None,
        "units_estimated": 2.0,
        "has_file": False,
        "file": None,
    }
    one = f"**/kling_once/jobs/{job['job_key']}"
    seen.page.route(one, lambda route: route.fulfill(json=comfy.get(route_path(route)) | unsent))
    seen.page.evaluate("() => window.app.api.dispatchCustomEvent('reconnected')")
    page = seen.page.locator(".kling-once-task")
    page.get_by_text("Nothing was bought.").wait_for()
    assert page.get_by_text("up to 2 units").count() == 0
    page.get_by_role("button", name="Forget").wait_for()
    shot(seen, "unsent")


def test_forgetting_with_the_tick_deletes_the_file(task: Any, comfy: Any) -> None:
    seen, tasks, job = task
    path = comfy.base / "output" / job["file"]["subfolder"] / job["file"]["filename"]
    assert path.is_file()
    seen.page.get_by_label("Delete the video file as well").check()
    tasks.press("Forget")
    seen.page.locator(".kling-once-list").wait_for()
    seen.page.locator(f'.kling-once-row[data-key="{job["job_key"]}"]').wait_for(state="detached")
    assert not path.exists()


def test_a_row_carries_its_video_when_it_is_dragged(task: Any, comfy: Any) -> None:
    seen, tasks, job = task
    tasks.press("Back to the list")
    row = seen.page.locator(f'.kling-once-row[data-key="{job["job_key"]}"]')
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
    before = comfy.get("/kling_once/totals")
    tasks.press("Forget")
    seen.page.locator(".kling-once-list").wait_for()
    seen.page.locator(f'.kling-once-row[data-key="{job["job_key"]}"]').wait_for(state="detached")
    assert comfy.get("/kling_once/totals") == before
