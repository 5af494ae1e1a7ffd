"""What a run leaves for the page to play on the node."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.mark.parametrize("collected", [False, True])
def test_the_kept_video_is_shown_on_the_node_without_a_save_node(
    comfy: Any, graphs: Any, *, collected: bool
) -> None:
    prompt, node = graphs.motion(), "motion"
    del prompt["save"]
    if collected:
        prompt["motion"]["class_type"] = "KlingOnce_SubmitMotionControl"
        node = "collect"
        prompt[node] = {"class_type": "KlingOnce_CollectMotionControl", "inputs": {"job": ["motion", 0]}}
    prompt |= {"report": graphs.show(node, 8)}
    with comfy.listening() as listener:
        ended = comfy.ended(comfy.queue(prompt, listener.client_id))
        executed = listener.wait_for("executed", lambda data: data["node"] == node)
        last_words = [
            text
            for of_node, text in (event.data for event in listener.of("progress_text"))
            if of_node == node
        ]
    assert last_words[-1].startswith("kept | ")
    shown = ended.entry["outputs"][node]
    assert executed.data["output"] == shown
    assert set(shown) == {"images", "animated"}, "no link, no id, nothing else"
    (file,) = shown["images"]
    assert ended.seen("report")[0].endswith(f"{file['subfolder']}/{file['filename']}")
    names = {name: file[name] for name in ("filename", "subfolder", "type")}
    answer = httpx.get(f"{comfy.url}/view", params=names)
    assert answer.headers["content-type"] == "video/mp4"


def test_results_that_lie_elsewhere_are_not_shown(own_comfy: Any, graphs: Any, tmp_path: Any) -> None:
    comfy = own_comfy(KLING_ONCE_RESULTS=str(tmp_path / "elsewhere")).start()
    assert "motion" not in comfy.succeed(graphs.motion()).entry["outputs"]
