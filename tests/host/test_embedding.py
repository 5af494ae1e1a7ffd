"""A kept file carries prompt and workflow as core's Save Video writes them, unless that is switched off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = {"nodes": [{"id": 1, "type": "KlingOnce_MotionControl"}], "links": [], "version": 0.4}


def kept_tags(comfy: Any, ended: Any) -> dict[str, str]:
    file = ended.file("motion")
    return tags_of(comfy.base / "output" / file["subfolder"] / file["filename"])


def tags_of(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {name: text for name, text in container.metadata.items() if name in {"workflow", "prompt"}}


def test_a_kept_file_carries_what_save_video_would_write(comfy: Any, graphs: Any) -> None:
    prompt = graphs.motion()
    ended = comfy.run(prompt, workflow=WORKFLOW)
    kept = kept_tags(comfy, ended)
    assert json.loads(kept["workflow"]) == WORKFLOW
    assert json.loads(kept["prompt"])["motion"]["class_type"] == "KlingOnce_MotionControl"
    saved = ended.file("save")
    by_core = tags_of(comfy.base / "output" / saved["subfolder"] / saved["filename"])
    assert {name: json.loads(text) for name, text in kept.items()} == {
        name: json.loads(text) for name, text in by_core.items()
    }


def test_disable_metadata_is_respected(own_comfy: Any, graphs: Any) -> None:
    comfy = own_comfy("--disable-metadata").start()
    ended = comfy.run(graphs.motion(), workflow=WORKFLOW)
    assert ended.ok
    assert kept_tags(comfy, ended) == {}
