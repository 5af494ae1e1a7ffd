"""The schemas as ComfyUI serves them, held against what has been promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROMISES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "nodes" / "promises.json").read_text())
LOCALES = Path(__file__).resolve().parents[2] / "locales"


def inputs_of(info: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for group in ("required", "optional"):
        for name, (kind, given) in info["input"].get(group, {}).items():
            item = {"id": name, "type": kind, "required": group == "required"}
            item |= {key: given[key] for key in ("default", "advanced") if key in given}
            if kind == "COMBO":
                item["options"] = given["options"]
            if kind == "COMFY_DYNAMICCOMBO_V3":
                item["options"] = {option["key"]: nested_of(option["inputs"]) for option in given["options"]}
            found.append(item)
    return found


def nested_of(inputs: dict[str, Any]) -> list[list[Any]]:
    groups = ("required", "optional")
    return [
        [name, spec[0], group == "required"]
        for group in groups
        for name, spec in inputs.get(group, {}).items()
    ]


def test_ids_types_defaults_and_outputs_are_as_promised(comfy: Any) -> None:
    info = comfy.get("/object_info")
    for name, promise in PROMISES.items():
        outputs = zip(
            info[name]["output_name"], info[name]["output"], info[name]["output_is_list"], strict=True
        )
        assert inputs_of(info[name]) == promise["inputs"]
        assert [list(output) for output in outputs] == promise["outputs"]


def test_english_names_and_tooltips_are_those_of_the_schemas(comfy: Any) -> None:
    info = comfy.get("/object_info")
    texts = json.loads((LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    for name in PROMISES:
        assert texts[name]["display_name"] == info[name]["display_name"]
        assert texts[name]["description"] == info[name]["description"]
        for group in ("required", "optional"):
            for item, (_kind, given) in info[name]["input"].get(group, {}).items():
                assert texts[name]["inputs"][item].get("tooltip") == given.get("tooltip")


def test_every_number_has_bounds_that_hold_its_default(comfy: Any) -> None:
    info = comfy.get("/object_info")
    found = [
        (given["min"], given["default"], given["max"], given.get("step"), kind)
        for name in PROMISES
        for kind, given in info[name]["input"].get("optional", {}).values()
        if kind in {"INT", "FLOAT"}
    ]
    assert len(found) > 10
    assert all(lowest <= default <= highest for lowest, default, highest, _step, _kind in found)
    assert all(step for *_bounds, step, kind in found if kind == "FLOAT")


def test_the_nodes_are_found_by_what_people_type(comfy: Any) -> None:
    info = comfy.get("/object_info")
    aliases = {name: info[name]["search_aliases"] for name in PROMISES}
    assert [name for name, words in aliases.items() if "kling" not in words] == ["KlingOnce_VideoFrames"]
    assert {"motion transfer", "dance"} <= set(aliases["KlingOnce_MotionControl"])
    assert "extract frames" in aliases["KlingOnce_VideoFrames"]


def test_comfyui_serves_the_translations_and_the_help_pages(comfy: Any) -> None:
    served = comfy.get("/i18n")
    for language in ("en", "zh"):
        assert set(PROMISES) <= set(served[language]["nodeDefs"])
    for name in PROMISES:
        for page in (f"{name}.md", f"{name}/zh.md"):
            assert comfy.text(f"/extensions/kling-once/docs/{page}").startswith("# ")


def test_the_templates_and_their_pictures_are_served(comfy: Any) -> None:
    templates = comfy.get("/workflow_templates")["kling-once"]
    assert len(templates) == 9
    for name in templates:
        assert comfy.text(f"/api/workflow_templates/kling-once/{name}.json").startswith("{")
        assert comfy.status(f"/api/workflow_templates/kling-once/{name}.jpg") == 200
