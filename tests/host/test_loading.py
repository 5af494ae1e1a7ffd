"""The pack as ComfyUI loads it."""

from __future__ import annotations

import re
from typing import Any

HEAVY = ("httpx", "jwt", "imageio", "obstore", "tenacity", "standardwebhooks")
LIGHT = {
    "kling_once",
    "kling_once.api",
    "kling_once.api.limits",
    "kling_once.api.motion_control",
    "kling_once.errors",
    "kling_once.jobs",
    "kling_once.jobs.progress",
    "kling_once.media",
    "kling_once.media.types",
    "kling_once.order",
    "kling_once.origins",
    "kling_once.web",
    "kling_once.web.app",
    "kling_once.web.endpoints",
}
NODES = [
    "MotionControl",
    "CheckMotionControl",
    "SubmitMotionControl",
    "CollectMotionControl",
    "FetchTask",
    "ListTasks",
    "VideoFrames",
]


def test_all_seven_nodes_are_there_and_nothing_warns(comfy: Any) -> None:
    info = comfy.get("/object_info")
    ours = [name for name in info if name.startswith("KlingOnce_")]
    assert ours == [f"KlingOnce_{name}" for name in NODES]
    loading, started, _running = comfy.log.partition("Starting server")
    assert started
    assert "IMPORT FAILED" not in loading
    assert not any("kling" in line.lower() and "warn" in line.lower() for line in loading.splitlines())
    assert not any(info[name]["api_node"] for name in ours)


def test_loading_is_quick_and_brings_nothing_heavy(own_comfy: Any) -> None:
    comfy = own_comfy().start()
    seconds = re.search(r"([\d.]+) seconds.*: .*kling-once", comfy.log)
    assert seconds is not None
    assert float(seconds[1]) < 0.25
    modules = comfy.get("/probe/modules")
    assert not [name for name in modules if name.split(".")[0] in HEAVY]
    ours = {name.split("kling-once.", 1)[1] for name in modules if "kling-once." in name}
    product = {name for name in ours if name.split(".")[0] == "kling_once"}
    assert product <= LIGHT, (
        "sqlalchemy and alembic come with ComfyUI: what counts is that ours are not loaded"
    )


def test_a_prompt_of_image_and_motion_source_alone_is_accepted(comfy: Any, graphs: Any) -> None:
    prompt = graphs.motion()
    del prompt["motion"]["inputs"]["take"]
    comfy.succeed(prompt)


def test_a_missing_or_unknown_motion_source_is_answered_in_words(comfy: Any, graphs: Any) -> None:
    for source in ({}, {"motion_source": "camera"}):
        prompt = graphs.motion(motion_source=None)
        del prompt["motion"]["inputs"]["motion_source"]
        prompt["motion"]["inputs"] |= source
        answer = comfy.post("/prompt", {"prompt": prompt})
        assert answer.status_code == 400
        assert "Set it to 'video'" in answer.text


def test_the_demo_files_of_the_examples_are_put_into_input(comfy: Any) -> None:
    folder = comfy.base / "input" / "kling_once"
    assert sorted(path.name for path in folder.iterdir()) == ["character.png", "motion.mp4"]
