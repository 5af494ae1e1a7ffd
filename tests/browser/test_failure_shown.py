"""A failed run as the page shows it: one message for people, where they look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"
UNDER_THE_NODE = """type => window.app.graph.nodes.find(one => one.comfyClass === type)
    .widgets.find(one => one.name === "$$node-text-preview")?.value"""


def test_a_failure_is_told_on_the_page_and_under_the_node_with_task_and_next_step(
    comfy: Any, inputs: Path, screen: Callable[..., Any], shot: Callable[..., Any], sandbox: Any
) -> None:
    sandbox.tasks_take(polls=0)
    sandbox.script("create", "task-failed")
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.widget(MOTION, "take", 701)
    seen.run()
    seen.wait_for_strip("Kling reports")
    seen.look_at()
    shot(seen, "failure")
    (message,) = [line for line in seen.strip() if line.startswith("Kling reports")]
    assert seen.page.locator(".p-toast-message").filter(has_text="Kling Once").count() == 0
    assert re.fullmatch(
        r"Kling reports that the task failed: Task failed due to an internal error\. Task \d+\."
        r" Run it again to make another attempt; if it fails once more, change an input\.",
        message,
    )
    assert seen.page.evaluate(UNDER_THE_NODE, MOTION) == message


def test_a_failure_is_gone_from_the_node_when_the_next_run_begins(
    comfy: Any, inputs: Path, screen: Callable[..., Any], sandbox: Any
) -> None:
    sandbox.tasks_take(polls=0)
    sandbox.script("create", "task-failed")
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.widget(MOTION, "take", 702)
    seen.run()
    seen.wait_for_strip("Kling reports")
    seen.run()
    seen.wait_for_strip("already made, free")
    seen.wait_for_strip(r"free, would be 2 units · kept as output/kling_once/sandbox/")
    assert not [line for line in seen.strip() if line.startswith("Kling reports")]
