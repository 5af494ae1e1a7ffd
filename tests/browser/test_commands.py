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
    assert ours == [
        "Kling Once: check this node",
        "Kling Once: open results folder",
        "Kling Once: open tasks",
    ]
    theirs = editor.page.evaluate(entries, "LoadImage")
    assert not [text for text in theirs if text and text.startswith("Kling Once:")]


def test_the_results_folder_is_named_where_the_server_has_no_desktop(editor: Any, comfy: Any) -> None:
    editor.page.evaluate(
        """type => window.app.canvas.getNodeMenuOptions(
             window.app.graph.nodes.find(one => one.comfyClass === type))
             .find(one => one?.content === "Kling Once: open results folder").callback()""",
        MOTION,
    )
    shown = editor.page.get_by_role("dialog")
    shown.get_by_text("Results lie here").wait_for()
    assert shown.locator("input").input_value() == str(comfy.base / "output" / "kling_once")


def test_a_node_made_before_has_its_task_copied_from_its_own_menu(editor: Any, sandbox: Any) -> None:
    sandbox.tasks_take(polls=0)
    editor.widget(MOTION, "take", 951)
    editor.run()
    editor.wait_for_strip("already made, free")
    entry = """type => window.app.canvas.getNodeMenuOptions(
        window.app.graph.nodes.find(one => one.comfyClass === type))
        .find(one => one?.content === "Kling Once: copy task id")"""
    editor.page.evaluate(f"type => ({entry})(type).callback()", MOTION)
    editor.said("Task id copied.")
    assert editor.page.evaluate("() => navigator.clipboard.readText()").isdigit()


def test_kling_motion_control_and_dance_find_our_node_by_a_name_of_its_own(comfy: Any) -> None:
    nodes = comfy.get("/object_info")
    ours = nodes[MOTION]
    assert {"kling", "motion control", "dance"} <= set(ours["search_aliases"])
    names = [node["display_name"] for name, node in nodes.items() if name != MOTION]
    assert ours["display_name"] == "Kling Once Motion Control"
    assert ours["display_name"] not in names


CHECK = "KlingOnce_CheckMotionControl"


def test_a_check_writes_its_settings_into_a_motion_control_node(editor: Any, inputs: Path) -> None:
    editor.open_template("3 check before you pay")
    editor.wait_for_strip(".*free", CHECK)
    editor.widget(CHECK, "mode", "pro")
    editor.widget(CHECK, "take", 7)
    editor.page.evaluate(
        """type => window.app.graph.nodes.find(one => one.comfyClass === type).widgets
             .find(one => one.name === "kling_once_strip").element
             .querySelector("button:last-child").click()""",
        CHECK,
    )
    editor.said("The settings are in")
    written = editor.page.evaluate(
        """type => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             const of = name => node.widgets.find(one => one.name === name).value;
             const from = name => {
               const input = node.inputs.find(one => one.name === name);
               return node.graph.getNodeById(node.graph.getLink(input.link).origin_id).comfyClass;
             };
             return [of("mode"), of("take"), of("motion_source"), from("image"), from("motion_source.video")];
           }""",
        MOTION,
    )
    assert written == ["pro", 7, "video", "LoadImage", "LoadVideo"]
