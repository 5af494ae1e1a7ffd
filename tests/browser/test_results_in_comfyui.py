"""Where ComfyUI itself shows our results: Media Assets panel, reloaded page, inside of a subgraph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.browser.screens import STRIP
from tests.browser.test_strip import MOTION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACK = """
type => {
  const { graph } = window.app;
  window.motion = graph.nodes.find(one => one.comfyClass === type);
  window.around = graph.convertToSubgraph(new Set([window.motion])).node;
  [window.motion] = window.around.subgraph.nodes;
}
"""
ENTER = """
() => {
  const { canvas } = window.app;
  const [x, y] = window.motion.pos;
  canvas.setGraph(window.around.subgraph);
  canvas.ds.scale = 0.6;
  canvas.ds.offset[0] = 500 - x;
  canvas.ds.offset[1] = 330 - window.motion.size[1] / 2 - y;
  canvas.setDirty(true, true);
}
"""
INNER = f"() => ({STRIP})(window.motion).join()"


def made(editor: Any, take: int) -> None:
    """Run the template with this take, as a person would: what was changed is in the saved draft."""
    editor.widget(MOTION, "take", take)
    editor.keep_draft()
    editor.wait_for_strip("sandbox, free")
    editor.run()
    editor.wait_for_strip("already made, free")


def asset(editor: Any, take: int) -> Any:
    """Open the Media Assets panel and return the card of a result."""
    editor.command("Workspace.ToggleSidebarTab.assets")
    card = editor.page.locator("[data-asset-id]").filter(has_text=f"_t{take}_").first
    card.wait_for()
    return card


def test_the_media_assets_panel_shows_and_plays_a_result(editor: Any, shot: Callable[..., Any]) -> None:
    made(editor, 891)
    card = asset(editor, 891)
    assert "MP4" in card.inner_text()
    card.click(button="right")
    editor.page.get_by_role("menuitem", name="Inspect asset").click()
    video = editor.page.locator("[role=dialog] video")
    video.wait_for()
    assert video.evaluate("async video => { video.muted = true; await video.play(); return true; }")
    editor.page.wait_for_function(
        """() => {
             const video = document.querySelector("[role=dialog] video");
             return video.videoWidth > 0 && video.duration > 1 && video.currentTime > 0.2;
           }"""
    )
    shot(editor, "assets-playing")


def test_a_reloaded_page_still_knows_what_was_made(editor: Any, shot: Callable[..., Any]) -> None:
    made(editor, 892)
    editor.reload()
    editor.wait_for_strip("already made, free")
    assert any("_t892_" in line for line in editor.strip()), "where it is kept"
    assert asset(editor, 892).is_visible()
    editor.look_at(scale=0.6)
    shot(editor, "reloaded")


def test_a_result_opened_from_the_panel_is_the_graph_that_made_it(editor: Any) -> None:
    made(editor, 893)
    editor.widget(MOTION, "take", 0)
    editor.keep_draft()
    asset(editor, 893).click(button="right")
    editor.page.get_by_role("menuitem", name="Open as workflow in new tab").click()
    editor.page.wait_for_function(
        """type => window.app.graph.nodes.find(one => one.comfyClass === type)
             ?.widgets.find(one => one.name === "take").value === 893""",
        arg=MOTION,
    )
    editor.wait_for_strip("already made, free")


def test_inside_of_a_subgraph_the_node_plays_its_result(editor: Any, shot: Callable[..., Any]) -> None:
    editor.widget(MOTION, "take", 894)
    editor.page.evaluate(PACK, MOTION)
    editor.run()
    editor.page.wait_for_function(f"() => ({INNER})().includes('already made, free')", timeout=60_000)
    editor.page.evaluate(ENTER)
    playing = """() => {
      const video = [...document.querySelectorAll("video")].find(one => one.src.includes("_t894_"));
      const box = video?.getBoundingClientRect();
      return video?.readyState >= 2 && video.duration > 1 && box.width > 50 && box.height > 50;
    }"""
    editor.page.wait_for_function(playing)
    shot(editor, "subgraph-player")


def test_inside_of_a_subgraph_a_broken_limit_is_visible(
    editor: Any, inputs: Path, shot: Callable[..., Any]
) -> None:
    Image.new("RGB", (100, 100), "white").save(inputs / "tiny.png")
    editor.widget(MOTION, "conform", "off")
    editor.page.evaluate(PACK, MOTION)
    editor.widget("LoadImage", "image", "tiny.png")
    editor.page.wait_for_function(f"() => ({INNER})().includes('Reference image')", timeout=30_000)
    editor.page.evaluate(ENTER)
    line = editor.page.locator(".kling-once-strip-line").filter(has_text="Reference image").first
    line.wait_for(state="visible")
    shot(editor, "subgraph-limit")
