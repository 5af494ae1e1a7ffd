"""Tasks are shown live, outlive the page, and are collected from the sidebar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def slow(sandbox: Any) -> Any:
    sandbox.tasks_take(seconds=12.0)
    yield
    sandbox.tasks_take(polls=0)


def test_a_page_reloaded_in_mid_run_shows_the_task_live_to_its_end(
    comfy: Any, inputs: Path, graph: Any, screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    tasks = seen.tasks()
    prompt_id = comfy.queue(graph(take=101))
    tasks.wait_for("under_way")
    seen.load()
    tasks = seen.tasks()
    row = tasks.wait_for("under_way")
    key = row.get_attribute("data-key")
    shot(seen, "live-after-reload")
    seen.page.locator(f'.kling-once-row[data-key="{key}"][data-state="kept"]').wait_for(timeout=60_000)
    assert comfy.ended(prompt_id).ok


def collected(seen: Any, row: Any, sandbox: Any, made: int) -> None:
    """Collect a task from the sidebar; nothing may be created for that."""
    key = row.get_attribute("data-key")
    row.get_by_role("button", name="Collect now").click()
    kept = seen.page.locator(f'.kling-once-row[data-key="{key}"][data-state="kept"]')
    kept.get_by_role("button", name="Play").wait_for(timeout=60_000)  # only a file that is here can be played
    assert len(sandbox.creates()) == made


def test_a_run_stopped_with_the_cancel_button_is_collected_and_again_from_the_sidebar(
    comfy: Any,
    inputs: Path,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    eventually: Callable[..., Any],
    sandbox: Any,
) -> None:
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.widget("KlingOnce_MotionControl", "take", 103)
    before = len(sandbox.creates())
    tasks = seen.tasks()
    seen.run()
    eventually(lambda: len(sandbox.creates()) > before, "the task is created")
    key = tasks.wait_for("under_way").get_attribute("data-key")
    seen.page.get_by_role("button", name="Cancel current run").click()
    eventually(lambda: not comfy.get("/queue")["queue_running"], "the run has stopped")
    row = seen.page.locator(f'.kling-once-row[data-key="{key}"]')
    assert row.get_attribute("data-state") == "under_way"  # the task goes on at the service
    shot(seen, "interrupted")
    seen.page.locator(f'.kling-once-row[data-key="{key}"][data-state="kept"]').wait_for(timeout=60_000)
    file = comfy.get(f"/kling_once/jobs/{key}")["file"]
    (comfy.base / "output" / file["subfolder"] / file["filename"]).unlink()
    tasks.press("Look again")
    row.get_by_text("The file is gone.").wait_for()
    collected(seen, row, sandbox, before + 1)


def test_a_task_is_collected_from_the_sidebar_after_a_restart(
    comfy: Any,
    inputs: Path,
    graph: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    eventually: Callable[..., Any],
    sandbox: Any,
) -> None:
    before = len(sandbox.creates())
    comfy.queue(graph(take=102))
    eventually(
        lambda: "submitted" in [one["state"] for one in comfy.get("/kling_once/jobs")["jobs"]],
        "the task is created, and that is written down",
    )
    comfy.stop()
    comfy.start()
    seen = screen(comfy.url)
    collected(seen, seen.tasks().wait_for("submitted"), sandbox, before + 1)
    shot(seen, "collected")
