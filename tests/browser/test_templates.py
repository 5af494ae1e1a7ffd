"""The templates in ComfyUI's page: in order, readable on a small screen, nothing over another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.screens import TEMPLATES
from tests.browser.test_looks import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = sorted(path.stem for path in TEMPLATES.glob("*.json"))
APP = "9 as an app"
LEAST_SCALE = 0.575
"""Below 8 / 14 ComfyUI draws no text on its nodes."""
EDGES = (58, 72, 1280, 720)
"""Left, top, right and bottom of the canvas beside ComfyUI's bars."""
RECTANGLES = """() => window.app.graph.nodes.map(node => [node.type, ...node.boundingRect])"""
ON_SCREEN = """() => {
  const { scale, offset } = window.app.canvas.ds;
  return window.app.graph.nodes.map(node => {
    const [x, y, width, height] = node.boundingRect;
    const left = (x + offset[0]) * scale, top = (y + offset[1]) * scale;
    return [node.type, left, top, left + width * scale, top + height * scale];
  });
}"""
STILL = """() => {
  const now = JSON.stringify(window.app.graph.nodes.map(node => [...node.boundingRect]));
  const since = window.sizesKept?.[0] === now ? window.sizesKept[1] : performance.now();
  window.sizesKept = [now, since];
  return performance.now() - since > 1000;
}"""
"""Whether every node has had its size for a second."""


@pytest.fixture(autouse=True)
def as_it_was(comfy: Any) -> Any:
    yield
    comfy.post("/settings", SETTINGS["classic"] | SETTINGS["en"])


def overlapping(nodes: list[list[Any]]) -> list[str]:
    """Return the pairs of nodes of which one lies over the other."""

    def meet(one: list[Any], other: list[Any]) -> bool:
        return all(one[at] < other[at] + other[at + 2] and other[at] < one[at] + one[at + 2] for at in (1, 2))

    return [
        f"{one[0]}, {other[0]}"
        for place, one in enumerate(nodes)
        for other in nodes[place + 1 :]
        if meet(one, other)
    ]


def outside(nodes: list[list[Any]]) -> list[str]:
    left, top, right, bottom = EDGES
    return [one[0] for one in nodes if one[1] < left or one[2] < top or one[3] > right or one[4] > bottom]


def test_the_browser_lists_them_from_1_to_n(comfy: Any, screen: Callable[..., Any]) -> None:
    seen = screen(comfy.url)
    listed = seen.page.evaluate("() => window.app.api.getWorkflowTemplates()")["kling-once"]
    assert listed == NAMES
    seen.command("Comfy.BrowseTemplates")
    seen.page.get_by_text("kling-once", exact=True).first.click()
    seen.page.get_by_text(NAMES[0], exact=True).first.wait_for()
    shown = seen.page.evaluate(
        """names => [...document.querySelectorAll("h3")].map(one => one.textContent.trim())
             .filter(text => names.includes(text))""",
        NAMES,
    )
    assert shown == NAMES


@pytest.mark.timeout(900)
@pytest.mark.parametrize("renderer", ["classic", "nodes2"])
def test_they_are_readable_at_1280_x_720_and_nothing_lies_over_another_before_or_after_a_run(
    comfy: Any,
    inputs: Path,
    sandbox: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    renderer: str,
) -> None:
    sandbox.tasks_take(polls=0)
    seen = screen(comfy.url, settings=SETTINGS[renderer])
    found = {}
    for name in NAMES:
        seen.open_template(name)
        seen.page.evaluate("() => { window.sizesKept = null; }")
        seen.page.wait_for_function(STILL)
        scale = seen.page.evaluate("() => window.app.canvas.ds.scale")
        nodes = seen.page.evaluate(ON_SCREEN)
        shot(seen, f"template-{name[0]}-{renderer}")
        found[name] = [
            *([f"scale {scale:.3f}"] if scale < LEAST_SCALE else []),
            *(f"outside: {one}" for one in outside(nodes)),
            *(f"before: {pair}" for pair in overlapping(seen.page.evaluate(RECTANGLES))),
        ]
        if name == APP:
            continue
        run(seen)
        found[name] += [f"after: {pair}" for pair in overlapping(seen.page.evaluate(RECTANGLES))]
    assert {name: lines for name, lines in found.items() if lines} == {}


def run(seen: Any) -> None:
    """Run the open workflow to its end, and until its nodes have their sizes."""
    seen.page.evaluate(
        """() => {
             window.runEnds = 0;
             for (const name of ["execution_success", "execution_error"])
               window.app.api.addEventListener(name, () => { window.runEnds += 1; }, { once: true });
           }"""
    )
    seen.run()
    seen.page.wait_for_function("() => window.runEnds > 0", timeout=120_000)
    seen.page.wait_for_timeout(1500)  # players know their size once their video is loaded
    seen.page.wait_for_function(STILL)


def test_notes_and_titles_are_chinese_where_the_page_is(
    comfy: Any, inputs: Path, screen: Callable[..., Any]
) -> None:
    seen = screen(comfy.url, settings=SETTINGS["zh"])
    found = {}
    for name in NAMES:
        seen.open_template(name)
        told = seen.page.evaluate(
            """() => window.app.graph.nodes.map(node => node.type === "MarkdownNote"
                 ? node.widgets[0].value : node.title)"""
        )
        found[name] = [text for text in told if not any("一" <= sign <= "鿿" for sign in text)]
    assert {name: texts for name, texts in found.items() if texts} == {}
