"""A release that is not ready is refused, in words."""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.fixture(scope="module")
def release_check() -> Any:
    spec = importlib.util.spec_from_file_location("release_check", ROOT / ".github" / "release_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """Return a copy of what a release is judged by, with everything in place."""
    (tmp_path / "kling_once").mkdir()
    shutil.copy(ROOT / "kling_once" / "version.py", tmp_path / "kling_once")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").replace("OWNER", "acme")
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("unreleased", "2027-01-05", 1)
    (tmp_path / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_release_with_everything_in_place_passes(release_check: Any, ready: Path) -> None:
    assert list(release_check.missing(ready, f"v{VERSION}")) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("pyproject.toml", "acme", "OWNER", "publisher's value"),
        ("pyproject.toml", f'version = "{VERSION}"', 'version = "9.9.9"', "the tag must be v9.9.9"),
        ("kling_once/version.py", VERSION, "0.0.1", "does not fall back"),
        ("CHANGELOG.md", "2027-01-05", "unreleased", "is unreleased"),
        ("CHANGELOG.md", f"## {VERSION} - ", "## 0.0.1 - ", "no part on"),
    ],
)
def test_what_is_missing_is_named(
    release_check: Any, ready: Path, name: str, old: str, new: str, said: str
) -> None:
    replace(ready / name, old, new)
    assert any(said in line for line in release_check.missing(ready, f"v{VERSION}"))


def test_the_notes_of_a_version_are_its_part_of_the_changelog(release_check: Any) -> None:
    text = "# Changelog\n\n## 1.1.0 - 2027-02-01\n\n- New.\n\n## 1.0.0 - 2027-01-01\n\n- Old.\n"
    assert release_check.notes_of(text, "1.1.0") == "- New."
    assert release_check.notes_of(text, "1.0.0") == "- Old."
    assert release_check.notes_of(text, "0.9.0") == ""
