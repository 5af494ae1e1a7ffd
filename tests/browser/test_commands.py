"""Commands and menu entries: open the tasks, check a node, open the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"


@pytest.fixture
def editor(comfy: Any, inputs: Path, screen: Callable[..., Any]) -> Any:
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    return seen


def checked(seen: Any) -> Any:
    """Check the node, and return the page that says what was found."""
    seen.command("kling_once.checkNode")
    found = seen.page.locator(".kling-once-task")
    found.wait_for()
    return found


def test_the_menu_has_our_three_entries(editor: Any) -> None:
    editor.page.locator(".comfy-menu-button-wrapper, [aria-label*='Menu']").first.click()
    editor.page.get_by_text("Extensions", exact=True).first.hover()
    editor.page.get_by_text("Kling Once", exact=True).first.hover()
    for name in ("open tasks", "check this node", "open the help"):
        editor.page.get_by_text(f"Kling Once: {name}").first.wait_for()


def test_help_is_opened_whether_the_tab_is_open_or_not(editor: Any, shot: Callable[..., Any]) -> None:
    editor.command("kling_once.openHelp")
    editor.page.locator(".kling-once-help h3").first.wait_for()
    shot(editor, "help")
    editor.command("Workspace.ToggleSidebarTab.kling-once")
    editor.page.locator(".kling-once-panel").wait_for(state="detached")
    editor.command("kling_once.openHelp")
    editor.page.locator(".kling-once-help h3").first.wait_for()


def test_the_only_node_is_checked_and_what_was_found_stays_to_be_read(
    editor: Any, shot: Callable[..., Any]
) -> None:
    editor.widget(MOTION, "model", "kling-v3")
    editor.widget(MOTION, "element_id", "123456")
    editor.widget(MOTION, "character_orientation", "image")
    found = checked(editor)
    found.get_by_text("With an element Kling follows").wait_for()
    found.get_by_text("sandbox, free").wait_for()
    shot(editor, "check-node")


def test_with_another_node_selected_nothing_arbitrary_is_checked(editor: Any) -> None:
    editor.select("LoadImage")
    editor.command("kling_once.checkNode")
    editor.said("Select one Kling Once node")
    assert editor.page.locator(".kling-once-task").count() == 0


def test_a_muted_node_is_said_to_be_muted(editor: Any) -> None:
    editor.page.evaluate(
        "type => { window.app.graph.nodes.find(one => one.comfyClass === type).mode = 2; }", MOTION
    )
    editor.select(MOTION)
    editor.command("kling_once.checkNode")
    editor.said("muted or bypassed")


def test_a_node_within_a_subgraph_is_checked(editor: Any) -> None:
    editor.page.evaluate(
        """type => {
             const { canvas, graph } = window.app;
             const node = graph.nodes.find(one => one.comfyClass === type);
             const { subgraph } = graph.convertToSubgraph(new Set([node])).node;
             canvas.setGraph(subgraph);
             canvas.selectItems(subgraph.nodes);
           }""",
        MOTION,
    )
    checked(editor).get_by_text("Ready to send.").wait_for()


def test_a_node_of_ours_has_our_entries_in_its_own_menu(editor: Any) -> None:
    entries = """type => window.app.canvas.getNodeMenuOptions(
        window.app.graph.nodes.find(one => one.comfyClass === type)).map(one => one?.content)"""
    ours = [text for text in editor.page.evaluate(entries, MOTION) if text and text.startswith("Kling Once:")]
    assert ours[0] == "Kling Once: check this node"
    assert ours[-1] == "Kling Once: open tasks"
    theirs = editor.page.evaluate(entries, "LoadImage")
    assert not [text for text in theirs if text and text.startswith("Kling Once:")]
