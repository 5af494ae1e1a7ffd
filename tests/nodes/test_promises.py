"""Names, help and translations of the nodes against what has been promised; the host lane holds the promises
against the schemas themselves."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMISES: dict[str, Any] = json.loads((Path(__file__).parent / "promises.json").read_text())
FORBIDDEN = ("api_key", "secret", "password", "base_url", "path", "folder")


def input_names(promise: dict[str, Any]) -> list[str]:
    """Return the inputs as translations name them: a nested one behind its parent."""
    names = []
    for item in promise["inputs"]:
        names.append(item["id"])
        if isinstance(item.get("options"), dict):
            nested = [name for option in item["options"].values() for name, _type, _required in option]
            names += [f"{item['id']}_{name}" for name in nested]
    return names


def test_there_are_twelve_nodes() -> None:
    assert len(PROMISES) == 12
    assert all(name.startswith("KlingOnce_") for name in PROMISES)


@pytest.mark.parametrize("node", PROMISES)
def test_no_key_address_or_path_is_an_input(node: str) -> None:
    for name in input_names(PROMISES[node]):
        assert not any(word in name for word in FORBIDDEN), name


@pytest.mark.parametrize("node", PROMISES)
def test_only_sockets_and_the_motion_source_are_required(node: str) -> None:
    widgets = {"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"}
    for item in PROMISES[node]["inputs"]:
        assert item["required"] == (item["type"] not in widgets), item["id"]
        if not item["required"] and item["type"] != "COMBO":
            assert "default" in item


@pytest.mark.parametrize("node", PROMISES)
def test_every_choice_of_a_motion_source_has_one_widget(node: str) -> None:
    """A saved workflow keeps widgets by their place: with one for each choice, the others never move."""
    widgets = {"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"}
    for item in PROMISES[node]["inputs"]:
        for option in item["options"].values() if isinstance(item.get("options"), dict) else ():
            assert len([kind for _name, kind, _required in option if kind in widgets]) == 1


def test_the_free_service_and_the_first_choice_are_the_default() -> None:
    for promise in PROMISES.values():
        for item in promise["inputs"]:
            if item["type"] == "COMBO":
                assert item["default"] == item["options"][0]
            if item["id"] == "service":
                assert item["default"] == "sandbox"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("node", PROMISES)
def test_every_name_is_translated_and_nothing_else(language: str, node: str) -> None:
    texts = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(texts) == set(PROMISES)
    text, promise = texts[node], PROMISES[node]
    assert text["display_name"]
    assert text["description"]
    assert set(text["inputs"]) == set(input_names(promise))
    assert set(text["outputs"]) == {str(number) for number in range(len(promise["outputs"]))}
    assert all(item["name"] for item in (*text["inputs"].values(), *text["outputs"].values()))
    if language == "zh":
        tips = [item.get("tooltip", "动") for item in (*text["inputs"].values(), *text["outputs"].values())]
        assert all(any("\u4e00" <= char <= "\u9fff" for char in tip) for tip in tips)


HELP_PAGES = {"en": "{}.md", "zh": "{}/zh.md"}
"""Where ComfyUI's page looks for a node's help: the language's own page first, then the one without."""


@pytest.mark.parametrize("language", HELP_PAGES)
@pytest.mark.parametrize("node", PROMISES)
def test_every_node_has_a_help_page_that_names_its_inputs_and_outputs(node: str, language: str) -> None:
    page = (ROOT / "js" / "docs" / HELP_PAGES[language].format(node)).read_text(encoding="utf-8")
    for item in PROMISES[node]["inputs"]:
        assert f"`{item['id']}`" in page, item["id"]
    for name, _type, _is_list in PROMISES[node]["outputs"]:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("node", PROMISES)
def test_both_languages_help_with_the_same_inputs_defaults_and_numbers(node: str) -> None:
    pages = [
        (ROOT / "js" / "docs" / place.format(node)).read_text(encoding="utf-8")
        for place in HELP_PAGES.values()
    ]
    english, chinese = (re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) for page in pages)
    assert english == chinese
    english, chinese = (sorted(set(re.findall(r"\d[\d,.]*\d|\d", page))) for page in pages)
    assert english == chinese
    title = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))[node]
    assert pages[1].startswith(f"# {title['display_name']}\n")


def test_each_class_carries_its_literal_id_and_derives_from_the_nodes_class() -> None:
    """ComfyUI-Manager's scanner reads the text of the files and runs nothing."""
    found = set()
    for path in (ROOT / "nodes").glob("*.py"):
        for item in ast.walk(ast.parse(path.read_text())):
            if not isinstance(item, ast.ClassDef) or "ComfyNode" not in ast.unparse(
                item.bases[0] if item.bases else item
            ):
                continue
            assert ast.unparse(item.bases[0]) == "io.ComfyNode"
            define = next(part for part in item.body if getattr(part, "name", "") == "define_schema")
            ids = [
                keyword.value.value
                for call in ast.walk(define)
                if isinstance(call, ast.Call)
                for keyword in call.keywords
                if keyword.arg == "node_id" and isinstance(keyword.value, ast.Constant)
            ]
            found.update(ids)
            assert len(ids) == 1
    assert found == set(PROMISES)


def test_only_the_bridge_and_the_routes_import_comfyui() -> None:
    theirs = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "nodes", "execution"}
    for path in (ROOT / "nodes").glob("*.py"):
        imported = set()
        for item in ast.walk(ast.parse(path.read_text())):
            if isinstance(item, ast.Import):
                imported |= {name.name.split(".")[0] for name in item.names}
            if isinstance(item, ast.ImportFrom) and item.level == 0 and item.module:
                imported.add(item.module.split(".")[0])
        assert path.name == "host.py" or not imported & theirs, path.name


def test_the_entry_imports_nothing_when_it_is_loaded() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    imports = [item for item in tree.body if isinstance(item, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(item) for item in imports] == [
        "from __future__ import annotations",
        "from typing import Any",
    ]
