"""What stands on a node after success, Stop, a reload and a restart: how it ended, and nothing older."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.screens import OF_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION, LIST = "KlingOnce_MotionControl", "KlingOnce_ListTasks"
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


def wait_for_text(seen: Any, pattern: str, node_type: str = MOTION) -> None:
    """Wait until the text under the node begins so."""
    seen.page.wait_for_function(TEXT, arg=[node_type, pattern], timeout=60_000)


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


def test_a_run_that_says_nothing_shows_nothing_of_how_the_last_one_failed(editor: Any) -> None:
    editor.page.evaluate(
        """type => {
             const { app } = window;
             app.graph.clear();
             app.graph.add(LiteGraph.createNode(type));
           }""",
        LIST,
    )
    editor.widget(LIST, "service", "kling")
    editor.run()
    wait_for_text(editor, "No Kling key is configured", LIST)
    editor.widget(LIST, "service", "sandbox")
    editor.run()
    report = editor.page.locator(".kling-once-report")
    report.wait_for()
    wait_for_text(editor, "$", LIST)


def test_after_stop_the_text_says_that_the_task_goes_on(editor: Any) -> None:
    begin(editor, 982)
    editor.page.get_by_role("button", name="Cancel current run").click()
    wait_for_text(editor, r"stopped \| task \d+ goes on; queue again to pick it up")
    editor.wait_for_strip("sandbox, free")


def test_after_a_reload_the_run_is_followed_to_its_end(editor: Any, sandbox: Any) -> None:
    begin(editor, 983)
    editor.reload()
    editor.page.wait_for_function(f"type => window.app.graph.nodes.some({OF_TYPE})", arg=MOTION)
    editor.wait_for_strip("sandbox, free")
    sandbox.tasks_take(polls=0)
    editor.wait_for_strip("already made, free")
    assert not editor.page.evaluate(TEXT, [MOTION, "waiting"])
    editor.complaints.clear()  # messages that came before anybody waited for them


def test_after_a_restart_of_the_server_the_text_says_that_it_was_cut_off(
    editor: Any, comfy: Any, sandbox: Any, screen: Callable[..., Any]
) -> None:
    before = len(sandbox.creates())
    begin(editor, 984)
    comfy.stop()
    editor.page.evaluate("() => window.app.api.dispatchEvent(new CustomEvent('reconnected'))")
    wait_for_text(editor, "The connection to the server broke. A task that was made goes on")
    editor.complaints.clear()  # the server was gone under the page
    sandbox.tasks_take(polls=0)
    comfy.start()  # on another port, so that another page is opened
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.widget(MOTION, "take", 984)
    seen.run()
    wait_for_text(seen, r"kept \| ")
    seen.wait_for_strip("already made, free")
    assert len(sandbox.creates()) == before + 1
