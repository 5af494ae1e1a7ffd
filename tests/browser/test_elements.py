"""The element library in the page: shown, searched, used in a node, chosen from a list, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.sandbox import DEFAULT_API_KEY
from tests.slowness import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ELEMENTS = "/v1/general/advanced-custom-elements"
MANY = 300
WIDGET = """([type, name]) => window.app.graph.nodes.find((one) => one.comfyClass === type)
  .widgets.find((one) => one.name === name)"""


@pytest.fixture(scope="session")
def library(sandbox: Any, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Make many elements that this ledger does not know; return their ids, newest first."""
    from PIL import Image  # noqa: PLC0415 - for this lane alone

    other = tmp_path_factory.mktemp("views") / "view.png"
    with Image.open(inputs / "character.png") as picture:
        picture.rotate(180).save(other)
    frontal, view = sandbox.upload(inputs / "character.png"), sandbox.upload(other)
    headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
    for number in range(MANY):
        body = {
            "element_name": f"Number {number:03d}",
            "element_description": "made elsewhere",
            "reference_type": "image_refer",
            "element_image_list": {"frontal_image": frontal, "refer_images": [{"image_url": view}]},
        }
        made = sandbox.http.post(f"{sandbox.origin}{ELEMENTS}", json=body, headers=headers).json()
        for _ in range(4):
            sandbox.http.get(f"{sandbox.origin}{ELEMENTS}/{made['data']['task_id']}", headers=headers)
    return [str(one["element_id"]) for one in sandbox.elements()]


def rows(seen: Any) -> Any:
    return seen.page.locator("li.kling-once-element")


def add(seen: Any, node_type: str) -> None:
    """Put a node into the graph, and select it alone."""
    seen.page.evaluate(
        """(type) => {
             const node = window.LiteGraph.createNode(type);
             window.app.graph.add(node);
             window.app.canvas.selectNode(node, false);
           }""",
        node_type,
    )


def value_of(seen: Any, node_type: str, name: str) -> Any:
    return seen.page.evaluate(f"(names) => ({WIDGET})(names).value", [node_type, name])


def test_300_elements_are_shown_page_by_page_with_pictures_and_are_quick_to_search(
    comfy: Any, library: list[str], screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    seen.tasks().show("elements")
    rows(seen).first.wait_for()
    assert rows(seen).count() == 30
    assert rows(seen).first.get_attribute("data-element") == library[0]
    seen.page.get_by_text(f"1 to 30 of {MANY}").wait_for()
    seen.page.wait_for_function("() => document.querySelector('li.kling-once-element img')?.naturalWidth > 0")
    shot(seen, "elements")
    seen.page.get_by_role("button", name="Older").click()
    seen.page.get_by_text(f"31 to 60 of {MANY}").wait_for()
    assert rows(seen).first.get_attribute("data-element") == library[30]
    watch = Stopwatch()
    seen.page.get_by_role("searchbox").fill("Number 123")
    seen.page.wait_for_function("() => document.querySelectorAll('li.kling-once-element').length < 30")
    seen.page.get_by_text("Number 123", exact=True).wait_for()
    assert watch.seconds() < 5.0
    seen.page.get_by_label("Which").select_option("presets")
    seen.page.get_by_role("searchbox").fill("")
    seen.page.get_by_text("Terrier", exact=True).wait_for()
    assert seen.page.get_by_role("button", name="Delete").count() == 0


def test_an_element_is_put_into_the_selected_node_with_every_digit(
    comfy: Any, library: list[str], screen: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    seen.tasks().show("elements")
    rows(seen).first.wait_for()
    use = rows(seen).first.get_by_role("button", name="Use in the selected node")
    use.click()
    seen.said("Select a node with an element id first.")
    add(seen, "KlingOnce_MotionControl")
    use.click()
    assert value_of(seen, "KlingOnce_MotionControl", "element_id") == library[0]
    assert len(library[0]) == 18


def test_the_button_at_the_node_opens_the_library_and_the_list_of_the_element_node_is_filled(
    comfy: Any, library: list[str], screen: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    add(seen, "KlingOnce_MotionControl")
    names = [["KlingOnce_MotionControl", "kling_once_choose_element"]]
    label = seen.page.evaluate(f"([names]) => ({WIDGET})(names).label", names)
    assert label == "Choose an element"
    seen.page.evaluate(f"([names]) => {{ ({WIDGET})(names).callback(); }}", names)
    rows(seen).first.wait_for()
    add(seen, "KlingOnce_Element")
    seen.page.wait_for_function(
        f"([names, many]) => ({WIDGET})(names).options.values.length === many + 4",
        arg=[["KlingOnce_Element", "element"], MANY],
    )
    rows(seen).first.get_by_role("button", name="Use in the selected node").click()
    assert value_of(seen, "KlingOnce_Element", "element") == f"Number {MANY - 1:03d} | {library[0]}"
    saved, kept = seen.page.evaluate(
        """() => {
             const node = window.app.graph.nodes.find((one) => one.comfyClass === "KlingOnce_MotionControl");
             const kept = node.widgets.filter((one) => one.serialize !== false);
             return [node.serialize().widgets_values, kept.map((one) => one.value)];
           }"""
    )
    assert saved == kept, "a button is no value"


def test_a_deleted_element_is_gone_from_the_view_and_from_the_list_of_the_node(
    comfy: Any, library: list[str], screen: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    add(seen, "KlingOnce_Element")
    seen.tasks().show("elements")
    last = library[-1]
    seen.page.get_by_role("searchbox").fill("Number 000")
    row = seen.page.locator(f'li[data-element="{last}"]')
    row.get_by_role("button", name="Delete").click()
    dialog = seen.page.get_by_role("dialog")
    dialog.get_by_text("Delete element Number 000").wait_for()
    dialog.get_by_role("button", name="Confirm").click()
    row.wait_for(state="detached")
    seen.said("Element Number 000 is deleted.")
    seen.page.wait_for_function(
        f"([names, id]) => {{ const all = ({WIDGET})(names).options.values;"
        " return all.length > 4 && !all.some((one) => one.endsWith(id)); }",
        arg=[["KlingOnce_Element", "element"], last],
    )
