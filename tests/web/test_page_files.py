"""The page's own files keep their promises: both languages complete, nothing private of ComfyUI touched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "js"
SCRIPTS = sorted([*PAGE.rglob("*.js"), *PAGE.rglob("*.mjs")])
HOST = PAGE / "shared" / "host.mjs"
"""The one module that imports from ComfyUI's page."""
FOLDERS = {
    "sidebar": {"node", "settings", "shared"},
    "node": {"shared"},
    "settings": {"shared"},
    "shared": set(),
}
"""What a folder may import from besides itself; the entry imports from all."""
LANGUAGES = ("en", "zh")
TOLD = ("klingOnce.rule.", "klingOnce.said.")
"""What has its English from the server: test_words."""
FILES = ("main", "settings", "commands")


def texts(language: str, name: str) -> dict[str, str]:
    """Return a file of translations, flat: dotted name and text."""
    found: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        else:
            found[path] = value

    walk(json.loads((ROOT / "locales" / language / f"{name}.json").read_text(encoding="utf-8")), "")
    return found


@pytest.mark.parametrize("name", FILES)
def test_both_languages_say_everything(name: str) -> None:
    english, chinese = (
        {key: text for key, text in texts(language, name).items() if not key.startswith(TOLD)}
        for language in LANGUAGES
    )
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_text_that_a_script_asks_for_exists() -> None:
    known = {key.removeprefix("klingOnce.") for key in texts("en", "main")}
    asked = 0
    for path in SCRIPTS:
        source = path.read_text(encoding="utf-8")
        for name in re.findall(r'\bt\(\s*"([^"]+)"', source):
            asked += 1
            assert name in known, f"{path.name}: {name}"
        for start in re.findall(r"\bt\(\s*`([a-z.]+)\$\{", source):
            assert any(key.startswith(start) for key in known), f"{path.name}: {start}"
    assert asked > 50


def test_every_state_and_stage_has_words() -> None:
    from kling_once.jobs.progress import Stage  # noqa: PLC0415 - likewise
    from kling_once.ledger.attempts import AttemptState  # noqa: PLC0415 - for this test alone

    known = texts("en", "main")
    assert all(f"klingOnce.state.{state.value}" in known for state in AttemptState)
    assert all(f"klingOnce.stage.{stage.value}" in known for stage in Stage)


def test_one_script_is_the_entry_and_all_others_are_modules_that_it_imports() -> None:
    assert [path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.js")] == ["kling_once.js"]
    imported = {path for script in SCRIPTS for path in imports_of(script)}
    assert imported == set(SCRIPTS) - {PAGE / "kling_once.js"}


def imports_of(path: Path) -> set[Path]:
    """Return the scripts of ours that a script imports; an `@import` of types alone is none."""
    code = re.sub(r"/\*\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    names = set(re.findall(r'from "([^"]+)"', code))
    if path == HOST:  # served at /extensions/<pack>/shared/host.mjs
        shims = {"../../../scripts/app.js", "../../../scripts/api.js"}
        assert names >= shims
        names -= shims
    return {(path.parent / name).resolve() for name in names}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_one_way_between_their_folders(path: Path) -> None:
    own = path.parent.name
    for imported in imports_of(path):
        assert imported in SCRIPTS, imported
        assert path.parent == PAGE or imported.parent.name in FOLDERS[own] | {own}, imported


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_touches_nothing_private(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.startswith("// @ts-check")
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", ".prototype", "localStorage", "eval("):
        assert forbidden not in source
    assert len(source.splitlines()) <= 320


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_asks_no_node_to_serialize_itself(path: Path) -> None:
    """Queueing does, and with it stops recordings and uploads pictures."""
    source = path.read_text(encoding="utf-8")
    assert all(name not in source for name in ("graphToPrompt", "serializeValue"))


def test_every_class_of_the_style_sheet_is_ours() -> None:
    sheet = (PAGE / "kling_once.css").read_text(encoding="utf-8")
    classes = re.findall(r"\.([A-Za-z][\w-]*)[^{}]*\{", re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL))
    assert classes
    assert all(name.startswith("kling-once-") for name in classes)


def test_the_lock_of_npm_names_no_registry() -> None:
    """The registry is the choice of whoever installs; digests hold its packages to the lock."""
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = [one for name, one in packages.items() if name]
    assert all("resolved" not in one and one["integrity"] for one in installed)


def test_the_name_is_kling_once_in_every_language() -> None:
    for path in [*(ROOT / "locales").rglob("*.json"), *(PAGE / "docs").rglob("*.md")]:
        assert "直连" not in path.read_text(encoding="utf-8"), path
