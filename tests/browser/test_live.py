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
    seen.page.locator(f'.kling-direct-row[data-key="{key}"][data-state="kept"]').wait_for(timeout=60_000)
    assert comfy.ended(prompt_id).ok


def test_an_interrupted_task_is_collected_from_the_sidebar(
    comfy: Any,
    inputs: Path,
    graph: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    eventually: Callable[..., Any],
    sandbox: Any,
) -> None:
    seen = screen(comfy.url)
    tasks = seen.tasks()
    before = len(sandbox.creates())
    prompt_id = comfy.queue(graph(take=102))
    eventually(lambda: len(sandbox.creates()) > before, "the task is created")
    comfy.stop()
    comfy.start()
    seen = screen(comfy.url)
    tasks = seen.tasks()
    row = tasks.wait_for("submitted")
    key = row.get_attribute("data-key")
    row.get_by_role("button", name="Collect now").click()
    seen.page.locator(f'.kling-direct-row[data-key="{key}"][data-state="under_way"]').wait_for()
    seen.page.locator(f'.kling-direct-row[data-key="{key}"][data-state="kept"]').wait_for(timeout=60_000)
    shot(seen, "collected")
    assert len(sandbox.creates()) == before + 1
    assert prompt_id
