"""The pack as ComfyUI loads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.slowness import slowness

if TYPE_CHECKING:
    from pathlib import Path

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
    "kling_once.web.graph",
}
NODES = [
    "MotionControl",
    "CheckMotionControl",
    "SubmitMotionControl",
    "CollectMotionControl",
    "FetchTask",
    "ListTasks",
    "VideoFrames",
    "CreateElement",
    "ListElements",
    "Element",
    "SplitVideo",
    "JoinVideos",
]


def test_all_ten_nodes_are_there_and_nothing_warns(comfy: Any) -> None:
    info = comfy.get("/object_info")
    ours = [name for name in info if name.startswith("KlingOnce_")]
    assert ours == [f"KlingOnce_{name}" for name in NODES]
    loading, started, _running = comfy.log.partition("Starting server")
    assert started
    assert "IMPORT FAILED" not in loading
    assert not any("kling" in line.lower() and "warn" in line.lower() for line in loading.splitlines())
    assert not any(info[name]["api_node"] for name in ours)


def test_loading_is_quick_and_brings_nothing_heavy(own_comfy: Any) -> None:
    busy = slowness()
    comfy = own_comfy().start()
    busy = max(busy, slowness())
    seconds = re.search(r"([\d.]+) seconds.*: .*kling-once", comfy.log)
    assert seconds is not None
    assert float(seconds[1]) / busy < 0.25
    modules = comfy.get("/probe/modules")
    assert not [name for name in modules if name.split(".")[0] in HEAVY]
    ours = {name.split("kling-once.", 1)[1] for name in modules if "kling-once." in name}
    product = {name for name in ours if name.split(".")[0] == "kling_once"}
    assert product <= LIGHT, (
        "sqlalchemy and alembic come with ComfyUI: what counts is that ours are not loaded"
    )


OLDER_PACK = """
class Theirs:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("INT",), "run", "acme"

    def run(self):
        return (1,)

NODE_CLASS_MAPPINGS = {"KlingOnce_FetchTask": Theirs}
"""
NEWER_PACK = """
from comfy_api.latest import ComfyExtension, io

class Theirs(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="KlingOnce_ListTasks", inputs=[], outputs=[io.Int.Output()])

    @classmethod
    def execute(cls):
        return io.NodeOutput(1)

class Acme(ComfyExtension):
    async def get_node_list(self):
        return [Theirs]

async def comfy_entrypoint():
    return Acme()
"""
PLACES = """
earlier: {{base_path: {folder}, is_default: true, custom_nodes: earlier}}
later: {{base_path: {folder}, custom_nodes: later}}
"""


def test_a_pack_with_one_of_our_node_ids_is_named_whoever_loads_last(own_comfy: Any, tmp_path: Path) -> None:
    packs = {"earlier/acme-older": OLDER_PACK, "later/acme.newer": NEWER_PACK}
    for place, text in packs.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "__init__.py").write_text(text)
    places = tmp_path / "places.yaml"
    places.write_text(PLACES.format(folder=tmp_path))
    comfy = own_comfy("--extra-model-paths-config", str(places)).start()
    info = comfy.get("/object_info")
    assert info["KlingOnce_FetchTask"]["python_module"] == "custom_nodes.kling-once"
    assert info["KlingOnce_ListTasks"]["python_module"] == "custom_nodes.acme.newer"
    warnings = [line for line in comfy.log.splitlines() if "register the same node ids" in line]
    assert len(warnings) == 2
    for other, node_id, used in (
        ("acme-older", "KlingOnce_FetchTask", "kling-once"),
        ("acme.newer", "KlingOnce_ListTasks", "acme.newer"),
    ):
        (line,) = (line for line in warnings if node_id in line)
        assert "WARNING" in line
        assert f"custom_nodes/kling-once and custom_nodes/{other} " in line
        assert f"uses those of custom_nodes/{used}." in line


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
