"""The blueprint in ComfyUI's node library: found by search, placed, wired, and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "Kling Once - picture and clip to video"
WIRE = """
async take => {
  const { app, LiteGraph } = window;
  const outer = app.graph.nodes.find(one => one.isSubgraphNode?.());
  const add = (type, pos) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    node.pos = pos;
    return node;
  };
  const image = add("LoadImage", [-350, 0]), clip = add("LoadVideo", [-350, 400]);
  const save = add("SaveVideo", [500, 0]);
  await new Promise(done => setTimeout(done, 300));
  image.connect(0, outer, 0);
  clip.connect(0, outer, 1);
  outer.connect(0, save, 0);
  const set = (node, name, value) => {
    const widget = node.widgets.find(one => one.name === name);
    widget.value = value;
    widget.callback?.(value);
  };
  set(image, "image", "character.png");
  set(clip, "file", "motion.mp4");
  set(outer, "take", take);
}
"""
SET = """
([name, value]) => {
  const outer = window.app.graph.nodes.find(one => one.isSubgraphNode?.());
  const widget = outer.widgets.find(one => one.name === name);
  widget.value = value;
  widget.callback?.(value);
}
"""


@pytest.fixture
def placed(comfy: Any, inputs: Any, screen: Callable[..., Any]) -> Any:
    """Find the blueprint in the node library, click it, and click where it goes."""
    seen = screen(comfy.url)
    page = seen.page
    page.wait_for_function("() => window.app.extensionManager.workflow?.activeWorkflow")
    page.keyboard.press("Escape")
    page.evaluate("() => window.app.graph.clear()")
    seen.command("Workspace.ToggleSidebarTab.node-library")
    page.get_by_placeholder("Search").first.fill("kling once picture")
    page.get_by_text(NAME[:20]).first.click()
    page.mouse.move(700, 250)
    page.wait_for_timeout(300)  # the node follows the pointer; nothing tells when it has arrived
    page.mouse.click(700, 250)
    page.wait_for_function("() => window.app.graph.nodes.some(one => one.isSubgraphNode?.())")
    return seen


def test_the_blueprint_is_found_placed_and_runs(placed: Any, shot: Callable[..., Any]) -> None:
    placed.page.evaluate(WIRE, 7001)
    shown = placed.page.evaluate(
        """() => window.app.graph.nodes.find(one => one.isSubgraphNode?.())
             .widgets.map(one => one.name)"""
    )
    assert shown[:2] == ["prompt", "model"]
    assert {"take", "service"} <= set(shown)
    tasks = placed.tasks()
    placed.run()
    row = tasks.wait_for("kept", 120_000)
    assert row.is_visible()
    shot(placed, "blueprint-done")


def test_a_refusal_inside_of_the_blueprint_is_told(placed: Any, shot: Callable[..., Any]) -> None:
    placed.page.evaluate(WIRE, 7002)
    placed.page.evaluate(SET, ["service", "kling"])
    placed.run()
    placed.page.get_by_text("Kling Once Motion Control failed").filter(visible=True).first.wait_for()
    shot(placed, "blueprint-refused")
