"""The example workflows as files."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "examples" / "workflows"
TEMPLATES = ROOT / "example_workflows"
QUEUED = ROOT / "tests" / "host" / "queued"
PROMISES = json.loads((Path(__file__).parent / "promises.json").read_text())
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
NOTES = {"MarkdownNote", "Note"}


def workflow(name: str) -> dict[str, Any]:
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def test_there_are_nine() -> None:
    assert len(NAMES) == 9


def test_templates_are_the_same_files_with_a_picture_each() -> None:
    ours = {path.name: path.read_bytes() for path in WORKFLOWS.glob("*.json")}
    copies = {path.name: path.read_bytes() for path in TEMPLATES.glob("*.json")}
    assert copies == ours
    assert {path.stem for path in TEMPLATES.glob("*.jpg")} == set(NAMES)


def test_every_picture_is_drawn_by_the_script_that_shows_results() -> None:
    drawing = runpy.run_path(str(ROOT / "examples" / "draw_pictures.py"))
    assert sorted(drawing["CARDS"]) == NAMES


def test_no_workflow_lies_where_the_template_browser_would_list_it_twice() -> None:
    assert not list((ROOT / "examples").glob("*.json"))
    assert not any((ROOT / name).exists() for name in ("example", "workflow", "workflows"))


@pytest.mark.parametrize("name", NAMES)
def test_every_node_names_its_pack_and_version(name: str) -> None:
    for node in workflow(name)["nodes"]:
        if node["type"] in NOTES:
            continue
        ours = node["type"].startswith("KlingOnce_")
        assert node["properties"]["cnr_id"] == ("kling-once" if ours else "comfy-core")
        assert node["properties"]["ver"]
        assert not ours or node["type"] in PROMISES


@pytest.mark.parametrize("name", NAMES)
def test_every_example_has_a_note_and_uses_the_free_service(name: str) -> None:
    assert any(node["type"] in NOTES for node in workflow(name)["nodes"])
    prompt = json.loads((QUEUED / f"{name}.json").read_text())
    services = {node["inputs"]["service"] for node in prompt.values() if "service" in node["inputs"]}
    assert services <= {"sandbox"}


@pytest.mark.parametrize("name", NAMES)
def test_a_note_is_bold_where_it_names_something_and_has_words_in_every_language(name: str) -> None:
    notes = [node["widgets_values"][0] for node in workflow(name)["nodes"] if node["type"] in NOTES]
    assert not [text for text in notes if "`" in text or "KLING_ONCE_" in text]
    words = json.loads((ROOT / "locales" / "en" / "main.json").read_text(encoding="utf-8"))["klingOnce"][
        "note"
    ]
    assert set(notes) <= set(words.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_queues_is_what_the_workflow_says(name: str) -> None:
    prompt = json.loads((QUEUED / f"{name}.json").read_text())
    nodes = {str(node["id"]): node for node in workflow(name)["nodes"] if node["type"] not in NOTES}
    assert set(prompt) == set(nodes)
    for key, queued in prompt.items():
        assert queued["class_type"] == nodes[key]["type"]
        constants = [value for value in queued["inputs"].values() if not isinstance(value, list)]
        values = nodes[key].get("widgets_values") or []
        shown = [*values, ""]
        assert all(value in shown for value in constants), (constants, values)
        if not queued["class_type"].startswith("KlingOnce_"):
            continue
        flat = {item["id"]: item for item in PROMISES[queued["class_type"]]["inputs"]}
        assert all(name.split(".")[0] in flat for name in queued["inputs"])


def test_the_app_shows_widgets_and_results_that_exist() -> None:
    graph = workflow("9 as an app")
    nodes = {str(node["id"]): node for node in graph["nodes"]}
    assert graph["extra"]["linearMode"] is True
    shown = graph["extra"]["linearData"]
    for node_id, widget in shown["inputs"]:
        assert widget in {slot["name"] for slot in nodes[str(node_id)]["inputs"] if "widget" in slot}
    assert [nodes[str(node_id)]["type"] for node_id in shown["outputs"]] == ["SaveVideo"]


@pytest.mark.parametrize("path", sorted((ROOT / "subgraphs").glob("*.json")), ids=lambda path: path.stem)
def test_a_blueprint_is_one_node_of_ours_with_widgets_that_exist(path: Path) -> None:
    blueprint = json.loads(path.read_text(encoding="utf-8"))
    (outer,) = blueprint["nodes"]
    (inside,) = blueprint["definitions"]["subgraphs"]
    assert outer["type"] == inside["id"]
    assert [slot["label"] for slot in outer["inputs"]] == ["picture", "clip"]
    assert [slot["type"] for slot in outer["outputs"]] == ["VIDEO", "STRING"]
    inner = {str(node["id"]): node for node in inside["nodes"]}
    for node in inner.values():
        assert (node["properties"]["cnr_id"], node["type"] in PROMISES) == ("kling-once", True)
    for node_id, widget in outer["properties"]["proxyWidgets"]:
        assert widget in {item["id"] for item in PROMISES[inner[node_id]["type"]]["inputs"]}
    (motion,) = inner.values()
    assert "sandbox" in motion["widgets_values"], "free until the user says otherwise"
