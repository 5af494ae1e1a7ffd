"""What is written for people who work on this: its paths and commands exist, its lock is whole."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs" / "decisions"
REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = [
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent != REFERENCE),
]
OUTSIDE = {"ComfyUI/custom_nodes", "output/kling_once/", "kling-once/"}
"""Folders of ComfyUI, and in a bucket."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def requirement_name(line: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_that_is_named_is_there(document: Path) -> None:
    text = re.sub(r"```.*?```", "", read(document), flags=re.DOTALL)
    named = re.findall(r"`([A-Za-z.][\w.-]*/[\w./-]*)`", text)
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = {
        name for name in named if not (ROOT / name).exists() and not (ROOT / "kling_once" / name).exists()
    }
    missing -= OUTSIDE
    missing |= {link for link in linked if not (document.parent / link).exists()}
    assert missing == set()


@pytest.mark.process
def test_the_reference_pages_are_those_of_the_code(tmp_path: Path) -> None:
    """Where this fails, `just docs` writes them anew."""
    subprocess.run([sys.executable, "-P", ROOT / "docs" / "reference_pages.py", tmp_path], check=True)
    made = {path.name: read(path) for path in tmp_path.iterdir()}
    assert {path.name: read(path) for path in REFERENCE.iterdir()} == made


def test_every_recipe_that_is_named_exists() -> None:
    recipes = set(re.findall(r"^([a-z][a-z-]*)(?: [^:\n]*)?:(?!=)", read(ROOT / "justfile"), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`just ([a-z-]+)", read(document))}
    assert named
    assert named <= recipes


def test_every_decision_is_short_and_listed() -> None:
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [f"{number:04}" for number in range(1, len(records) + 1)] == [path.name[:4] for path in records]
    assert all(len(read(path).splitlines()) < 50 for path in records)
    assert re.findall(r"\]\(([0-9].*?)\)", read(DECISIONS / "README.md")) == [path.name for path in records]


def test_the_lock_pins_whatever_is_declared_and_names_no_address() -> None:
    extras = PROJECT["optional-dependencies"].values()
    declared = {requirement_name(line) for lines in (PROJECT["dependencies"], *extras) for line in lines}
    lock = read(ROOT / "requirements.lock")
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE))
    assert declared - pinned == {"torch"}
    assert "://" not in lock


def test_hooks_run_tools_of_the_environment_alone() -> None:
    text = read(ROOT / ".pre-commit-config.yaml")
    assert re.findall(r"repo: (.*)", text) == ["local"]
    assert "://" not in text


def test_the_name_of_the_other_pack_stands_in_two_lines_alone() -> None:
    other = re.compile("kling.?" + "direct", re.IGNORECASE)
    suffixes = {".py", ".md", ".toml", ".json", ".js", ".mjs", ".css", ".txt", ".yaml", ".lock", ""}
    folders = (
        "benchmarks",
        "docs",
        "example_workflows",
        "examples",
        "js",
        "kling_once",
        "locales",
        "nodes",
        "tests",
    )
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.iterdir())
    found = [
        name_of(path)
        for path in files
        if path.is_file() and path.suffix in suffixes and path.name != ".git"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if other.search(line)
    ]
    assert sorted(found) == ["CHANGELOG.md", "README.md"]
