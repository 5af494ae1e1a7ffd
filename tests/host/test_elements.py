"""Elements in a real ComfyUI: made once, used in the same graph, kept over a restart, deleted on demand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


def element_creates(sandbox: Any) -> int:
    return len([call for call in sandbox.element_creates() if call["status"] == 200])


def with_element(graphs: Any, name: str, **inputs: Any) -> dict[str, Any]:
    """Return a graph that makes an element of the example's picture and uses it in motion control."""
    prompt = graphs.motion(model="kling-v3", element_id=["element", 0], **inputs)
    made_of = {
        "material": "pictures",
        "material.frontal": ["image", 0],
        "material.views": ["views", 0],
        "name": name,
        "description": "A character in a graph",
    }
    return prompt | {
        "views": {"class_type": "ImageInvert", "inputs": {"image": ["image", 0]}},
        "element": {"class_type": "KlingOnce_CreateElement", "inputs": made_of},
        "id": graphs.show("element", 0),
    }


@pytest.mark.parametrize("generation", ["legacy", "standard"])
def test_an_element_is_made_and_used_in_one_graph_and_after_a_restart_nothing_is_made_again(
    own_comfy: Any, sandbox: Any, graphs: Any, generation: str
) -> None:
    before, made = len(sandbox.creates()), element_creates(sandbox)
    comfy = own_comfy(KLINGAI_API_GENERATION=generation).start()
    prompt = with_element(graphs, f"Graph {generation}")
    (element_id,) = comfy.succeed(prompt).seen("id")
    assert element_id == str(sandbox.elements()[0]["element_id"])
    assert len(element_id) == 18
    body = sandbox.creates()[-1]["body"]
    if generation == "legacy":
        assert body["element_list"] == [{"element_id": int(element_id)}]
    else:
        assert {"type": "element", "element_id": element_id, "id": "element_1"} in body["contents"]

    comfy.kill()
    comfy.start()
    assert comfy.succeed(prompt).seen("id") == [element_id]
    assert comfy.succeed(prompt | {"more": graphs.show("element", 1)}).seen("id") == [element_id]
    assert len(sandbox.creates()) == before + 1
    assert element_creates(sandbox) == made + 1

    page = comfy.get("/kling_once/elements?service=sandbox")
    assert element_id in [one["element_id"] for one in page["elements"]]


def test_an_element_that_is_deleted_is_made_again_when_the_graph_is_queued(
    comfy: Any, sandbox: Any, graphs: Any
) -> None:
    prompt = with_element(graphs, "To delete")
    (first,) = comfy.succeed(prompt).seen("id")
    path = f"{comfy.url}/kling_once/elements/{first}/delete"
    answer = httpx.post(path, json={"service": "sandbox"}, headers={"Origin": comfy.url}, timeout=60)
    assert answer.status_code == 200, answer.text
    (second,) = comfy.succeed(prompt).seen("id")
    assert second != first


def test_lists_and_a_chosen_element_hand_ids_over(comfy: Any, sandbox: Any, graphs: Any) -> None:
    (element_id,) = comfy.succeed(with_element(graphs, "Listed")).seen("id")
    prompt = {
        "own": {"class_type": "KlingOnce_ListElements", "inputs": {}},
        "official": {"class_type": "KlingOnce_ListElements", "inputs": {"of": "presets"}},
        "chosen": {"class_type": "KlingOnce_Element", "inputs": {"element": f"Listed | {element_id}"}},
        "ids": graphs.show("own", 1),
        "presets": graphs.show("official", 1),
        "table": graphs.show("official", 0),
        "one": graphs.show("chosen", 0),
    }
    ended = comfy.succeed(prompt)
    assert element_id in ended.seen("ids")
    assert ended.seen("presets") == ["160", "161", "163"]
    assert "Terrier" in ended.seen("table")[0]
    assert ended.seen("one") == [element_id]


def test_what_is_missing_is_said_in_words(comfy: Any, sandbox: Any, graphs: Any) -> None:
    before = len(sandbox.calls())
    nameless = comfy.run(with_element(graphs, ""))
    assert "name is empty" in nameless.error["exception_message"]
    long = comfy.run(with_element(graphs, "x" * 21))
    assert "Kling takes 20" in long.error["exception_message"]
    same = with_element(graphs, "Same")
    same["element"]["inputs"]["material.views"] = ["image", 0]
    assert "the frontal picture again" in comfy.run(same).error["exception_message"]
    none = {
        "chosen": {"class_type": "KlingOnce_Element", "inputs": {}},
        "one": graphs.show("chosen", 0),
    }
    assert "No element is chosen" in comfy.run(none).error["exception_message"]
    assert len(sandbox.calls()) == before
