"""The Comfy Registry's card and archive: small, whole, and nothing in it that the registry refuses."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import tomllib
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from tests.publishing.archive import ROOT, make_archive, packed_names

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CARD = PROJECT["tool"]["comfy"]
URLS = PROJECT["project"]["urls"]
LARGEST_BYTES = 3_000_000
TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "README.zh.md",
    "SECURITY.md",
    "__init__.py",
    "example_workflows",
    "examples",
    "js",
    "kling_once",
    "locales",
    "nodes",
    "pyproject.toml",
    "requirements.txt",
    "subgraphs",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("archive") / "node.zip")


def test_the_archive_is_small(archive: Path) -> None:
    assert archive.stat().st_size < LARGEST_BYTES


def test_the_archive_holds_what_a_user_needs_and_nothing_else(archive: Path) -> None:
    names = zipfile.ZipFile(archive).namelist()
    assert {name.split("/")[0] for name in names} == TOP_LEVEL
    assert {name.split("/")[1] for name in names if name.startswith("examples/")} == {"api"}


def test_every_file_of_the_product_is_in_the_archive() -> None:
    packed = set(packed_names())
    folders = ("kling_once", "nodes", "js", "locales", "example_workflows", "subgraphs")
    here = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here - packed == set(), "not yet known to git"


def test_nothing_in_the_archive_runs_at_installation(archive: Path) -> None:
    names = set(zipfile.ZipFile(archive).namelist())
    assert not names & {"install.py", "prestartup_script.py", "setup.py", "uninstall.py"}


def test_the_card_has_what_the_registry_shows() -> None:
    assert CARD["DisplayName"] == "Kling Once"
    assert re.fullmatch(r">=\d+\.\d+\.\d+", CARD["requires-comfyui"])
    assert "comfyui" not in PROJECT["project"]["name"].lower()
    assert {"Repository", "Documentation", "Bug Tracker"} <= set(URLS)
    assert isinstance(PROJECT["project"]["license"], dict)
    classifiers = PROJECT["project"]["classifiers"]
    assert not [line for line in classifiers if line.startswith("Environment")], (
        "the registry reads GPUs there"
    )


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_address_begins_with_the_repository() -> None:
    repository = URLS["Repository"]
    assert all(url.startswith(repository) for url in URLS.values())
    raw = repository.replace("://github.com/", "://raw.githubusercontent.com/")
    for address in (CARD["Icon"], CARD["Banner"]):
        assert address.startswith(f"{raw}/main/")
        assert (ROOT / address.removeprefix(f"{raw}/main/")).is_file()


@pytest.mark.parametrize(("name", "ratio"), [("icon", 1.0), ("banner", 21 / 9)])
def test_the_pictures_have_the_registrys_shape_and_are_those_of_the_script(name: str, ratio: float) -> None:
    folder = ROOT / "docs" / "images"
    drawn = getattr(loaded(folder / "draw_brand.py"), name)()
    with Image.open(folder / f"{name}.png") as kept:
        assert kept.width / kept.height == pytest.approx(ratio, rel=0.001)
        assert name != "icon" or kept.width <= 400
        difference = np.asarray(ImageChops.difference(kept.convert("RGB"), drawn))
    assert difference.max() < 96, "run python docs/images/draw_brand.py"


@functools.cache
def python_files() -> list[tuple[str, ast.Module]]:
    names = [name for name in packed_names() if name.endswith(".py")]
    return [(name, ast.parse((ROOT / name).read_text(encoding="utf-8"))) for name in names]


def called(node: ast.AST) -> str:
    """Return `name` or `module.name` of what a node calls."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute) and isinstance(function.value, (ast.Name, ast.Attribute)):
        return ast.unparse(function)
    return function.id if isinstance(function, ast.Name) else ""


FORBIDDEN_CALLS = re.compile(
    r"^(eval|exec|compile|__import__|os\.(system|popen|exec\w*|spawn\w*|fork)|subprocess\.\w+"
    r"|asyncio\.create_subprocess_\w+|pty\.\w+|pickle\.loads?|marshal\.loads?|importlib\.reload|pip\.\w+"
    r"|logging\.basicConfig|sys\.path\.(append|insert|extend)|os\.environ\.(update|setdefault|pop|clear)|os\.putenv)$"
)
FORBIDDEN_MODULES = {
    "subprocess",
    "pip",
    "ensurepip",
    "pickle",
    "marshal",
    "ctypes",
    "pty",
    "cryptography",
    "requests",
    "cv2",
}
ALLOWED = {
    "kling_once/cli/commands.py: logging.basicConfig",  # the command line is a process of its own
    "kling_once/media/memory.py: ctypes",  # gives freed memory back to the system after a large clip
}


def test_no_code_is_made_from_text_and_no_process_is_started() -> None:
    found = [
        f"{name}: {called(node)}"
        for name, tree in python_files()
        for node in ast.walk(tree)
        if FORBIDDEN_CALLS.match(called(node))
    ]
    assert set(found) - ALLOWED == set()


def test_nothing_is_imported_that_the_registrys_scan_stops_at() -> None:
    found = []
    for name, tree in python_files():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.append(node.module)
            modules = {module.split(".")[0] for module in names} & FORBIDDEN_MODULES
            found += [f"{name}: {module}" for module in modules]
    assert set(found) - ALLOWED == set()


def test_the_environment_is_never_written() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in python_files()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.Delete, ast.AugAssign))
        for target in (node.targets if not isinstance(node, ast.AugAssign) else [node.target])
        if isinstance(target, ast.Subscript) and ast.unparse(target.value) == "os.environ"
    ]
    assert found == []


def test_sources_are_plain_text_of_readable_lines() -> None:
    """No minified script, no base64 blob: a person can review what the scan has marked."""
    found = []
    for name in packed_names():
        if name.endswith((".py", ".mjs", ".js", ".css")):
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
            found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if len(line) > 200]
            found += [name for line in lines if re.search(r"[A-Za-z0-9+/]{120,}", line)]
    assert found == []
