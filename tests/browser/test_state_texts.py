"""What stands on a node after success, Stop, a reload and a restart: how it ended, and nothing older."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.screens import OF_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"
TEXT = f"""([type, pattern]) => {{
    const node = window.app.graph.nodes.find({OF_TYPE});
    const text = node.widgets.find(one => one.name === "$$node-text-preview")?.value ?? "";
    return RegExp("^" + pattern).test(text);
}}"""


@pytest.fixture
def editor(comfy: Any, inputs: Path, screen: Callable[..., Any], sandbox: Any) -> Any:
    sandbox.tasks_take(seconds=120)
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    yield seen
    sandbox.tasks_take(polls=0)


def wait_for_text(seen: Any, pattern: str) -> None:
    """Wait until the text under the node begins so."""
    seen.page.wait_for_function(TEXT, arg=[MOTION, pattern], timeout=60_000)


def begin(seen: Any, take: int) -> None:
    """Run until the task is at work."""
    seen.widget(MOTION, "take", take)
    seen.run()
    wait_for_text(seen, r"waiting for Kling .* task \d+")


def test_after_a_success_the_text_says_what_it_came_to(editor: Any, sandbox: Any) -> None:
    sandbox.tasks_take(polls=0)
    editor.widget(MOTION, "take", 981)
    editor.run()
    wait_for_text(editor, r"kept \| .* free \(would be 2 units\) \| task \d+$")
    editor.wait_for_strip("already made, free")


def test_after_stop_the_text_says_that_the_task_goes_on(editor: Any) -> None:
    begin(editor, 982)
    editor.page.get_by_role("button", name="Cancel current run").click()
    wait_for_text(editor, r"stopped \| task \d+ goes on; queue again to pick it up")
    editor.wait_for_strip("sandbox, free")


def test_after_a_reload_no_old_text_is_there_and_the_end_is_noticed(editor: Any, sandbox: Any) -> None:
    begin(editor, 983)
    editor.load()
    editor.page.wait_for_function(f"type => window.app.graph.nodes.some({OF_TYPE})", arg=MOTION)
    editor.wait_for_strip("sandbox, free")
    assert not editor.page.evaluate(TEXT, [MOTION, "waiting"])
    sandbox.tasks_take(polls=0)
    editor.wait_for_strip("already made, free")


def test_after_a_restart_of_the_server_the_text_says_that_it_was_cut_off(
    editor: Any, comfy: Any, sandbox: Any
) -> None:
    begin(editor, 984)
    comfy.stop()
    sandbox.tasks_take(polls=0)
    comfy.start()
    wait_for_text(editor, "The connection to the server broke. A task that was made goes on")
    editor.complaints.clear()  # the server was gone under the page
    editor.run()
    wait_for_text(editor, r"kept \| ")
    editor.wait_for_strip("already made, free")
