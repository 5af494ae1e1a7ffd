"""The strip in eight states and in a subgraph, in both renderers, themes, languages and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.screens import OF_TYPE, STRIP
from tests.browser.test_looks import SETTINGS, check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"
TEXT = "$$node-text-preview"
SIZES = ((1920, 1080), (1280, 720))
CUT_OFF = """() => [...document.querySelectorAll(".kling-once-strip-line > *")].filter(one => {
  if (!one.checkVisibility()) return false;
  const strip = one.closest(".kling-once-strip-holder");
  const inner = one.getBoundingClientRect(), outer = strip.getBoundingClientRect();
  return one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline"
    || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
}).map(one => one.textContent)"""
"""Returns the texts of strips that are seen in part."""
SAID = """text => [...document.querySelectorAll(".kling-once-strip")]
    .some(one => one.checkVisibility() && one.textContent.includes(text))"""
AT = """node => {
  const { ds } = window.app.canvas;
  ds.scale = 1;
  ds.offset[0] = 640 - node.pos[0];
  ds.offset[1] = 130 - node.pos[1];
  window.app.canvas.setDirty(true, true);
}"""
"""Brings a node into view."""
WORDS = {
    "en": {
        "ready": "sandbox, free",
        "nothing wired": "Nothing is wired to image",
        "no key": "No key is stored",
        "no place": "The clip is a file on this machine",
        "over a cap": ".*would reserve 2 units",
        "on hold": "Live submissions are on hold",
        "running": "sandbox, free",
        "done": "free, would be 2 units",
        "sum": "1 cannot run",
    },
    "zh": {
        "ready": "沙盒，免费",  # noqa: RUF001 - Chinese signs
        "nothing wired": "“图像”没有连接",
        "no key": "尚未配置可用的密钥",
        "no place": "参考视频是本地文件",
        "over a cap": "这次会超过消费限额",
        "on hold": "付费提交已暂停",
        "running": "沙盒，免费",  # noqa: RUF001 - likewise
        "done": "免费，原价 2 积分",  # noqa: RUF001 - likewise
        "sum": "1 个无法运行",
    },
}


@pytest.fixture(autouse=True)
def as_it_was(comfy: Any) -> Any:
    yield
    comfy.post("/kling_once/hold", {"held": False})
    comfy.post("/settings", SETTINGS["classic"] | SETTINGS["dark"] | SETTINGS["en"])


def disconnect(seen: Any) -> None:
    seen.page.evaluate(
        """type => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             for (const [slot, input] of node.inputs.entries()) if (input.link) node.disconnectInput(slot);
             document.dispatchEvent(new Event("change"));
           }""",
        MOTION,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("renderer", ["classic", "nodes2"])
def test_the_strip_looks_right_in_eight_states_and_in_a_subgraph(
    comfy: Any,
    inputs: Path,
    sandbox: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    renderer: str,
    language: str,
) -> None:
    settings = SETTINGS[renderer] | SETTINGS["dark"] | SETTINGS[language] | {"Comfy.Minimap.Visible": False}
    seen = screen(comfy.url, settings=settings)
    words = WORDS[language]
    found: dict[str, list[str]] = {}

    def look(state: str) -> None:
        seen.wait_for_strip(f".*{words[state]}")
        found[state] = pictures(seen, shot, f"state-{state.replace(' ', '-')}-{renderer}-{language}")

    seen.open_template("1 motion control")
    look("ready")
    seen.widget(MOTION, "service", "kling")
    look("no key")
    seen.widget(MOTION, "profile", "studio")
    look("no place")
    seen.widget(MOTION, "max_units", 1)
    look("over a cap")
    seen.widget(MOTION, "max_units", 0)
    comfy.post("/kling_once/hold", {"held": True})
    look("on hold")
    comfy.post("/kling_once/hold", {"held": False})
    seen.widget(MOTION, "service", "sandbox")
    seen.widget(MOTION, "profile", "")
    sandbox.tasks_take(seconds=12)
    seen.widget(MOTION, "take", 970 + 2 * (renderer == "classic") + (language == "en"))
    seen.run()
    seen.page.wait_for_function(
        f"""([type, name]) => window.app.graph.nodes.find({OF_TYPE}).widgets
             .find(one => one.name === name)?.value?.includes("0:0")""",
        arg=[MOTION, TEXT],
        timeout=60_000,
    )
    look("running")
    seen.page.wait_for_function(
        f"""([type, text]) => ({STRIP})(window.app.graph.nodes.find({OF_TYPE}))
             .some(one => one.includes(text))""",
        arg=[MOTION, words["done"]],
        timeout=90_000,
    )
    look("done")
    disconnect(seen)
    look("nothing wired")
    found |= in_a_subgraph(seen, shot, f"{renderer}-{language}", words)
    assert {state: lines for state, lines in found.items() if lines} == {}


def pictures(seen: Any, shot: Callable[..., Any], name: str, *, moves: bool = True) -> list[str]:
    """Take a picture of both themes at both sizes; return what axe finds, and lines that are cut off."""
    lines = []
    for theme in ("light", "dark"):
        seen.page.evaluate(
            "theme => window.app.extensionManager.setting.set('Comfy.ColorPalette', theme)", theme
        )
        for size in SIZES:
            seen.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
            if moves:
                seen.look_at(scale=0.75)  # Nodes 2.0 has the strip at the node's end
            seen.page.wait_for_timeout(400)  # a picture of a canvas that is drawn
            shot(seen, f"{name}-{theme}-{size[0]}")
            lines += [f"{theme}, {size[0]}: {line}" for line in seen.page.evaluate(CUT_OFF)]
        lines += [f"{theme}: {line}" for line in check(seen.page, ".kling-once-strip")]
    return lines


def in_a_subgraph(
    seen: Any, shot: Callable[..., Any], name: str, words: dict[str, str]
) -> dict[str, list[str]]:
    """Put the wired node into a subgraph; return what is wrong with the sum outside and the strip inside."""
    seen.open_template("1 motion control")
    seen.widget(MOTION, "service", "kling")
    seen.widget(MOTION, "profile", "studio")
    seen.wait_for_strip(f".*{words['no place']}")
    seen.page.evaluate(
        """type => {
             const { graph } = window.app;
             const node = graph.nodes.find(one => one.comfyClass === type);
             window.around = graph.convertToSubgraph(new Set([node])).node;
             window.around.title = "Dance";
           }""",
        MOTION,
    )
    seen.page.wait_for_function(
        SAID,
        arg=words["sum"],
    )
    seen.page.evaluate(f"() => ({AT})(window.around)")
    outside = pictures(seen, shot, f"subgraph-outside-{name}", moves=False)
    seen.page.evaluate("() => window.app.canvas.setGraph(window.around.subgraph)")
    seen.page.wait_for_function(
        SAID,
        arg=words["no place"],
    )
    seen.page.evaluate(f"() => ({AT})(window.around.subgraph.nodes[0])")
    return {
        "outside a subgraph": outside,
        "inside": pictures(seen, shot, f"subgraph-inside-{name}", moves=False),
    }
