"""The shape that the design promises, read from the sources themselves."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import kling_once
from kling_once import errors
from kling_once.ledger import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kling_once"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS = {part: number for number, row in enumerate(PROJECT["tool"]["kling-once"]["layers"]) for part in row}
"""A module imports from lower layers and from its own part; `sandbox` stands apart."""
SANDBOX_STARTERS = {"accounts/accounts.py", "jobs/services.py", "cli/commands.py"}
"""Who may start the sandbox; nobody else knows that it is ours."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (level, dotted name) of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def own_parts(path: Path) -> set[str]:
    """Return the parts of the package that a module imports."""
    depth = len(path.relative_to(PACKAGE).parts)
    return {name.split(".")[0] for level, name in imports_of(tree_of(path)) if level == depth}


def module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported; TYPE_CHECKING blocks do not."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node


def importers(path: Path) -> Iterator[str]:
    """Yield what a module imports that it must not know."""
    part, parts = part_of(path), own_parts(path)
    if part == "sandbox":
        yield from (f"{name_of(path)} imports {other}" for other in parts)
        return
    for other in parts - {part, "sandbox"}:
        if LAYERS[other] >= LAYERS[part]:
            yield f"{name_of(path)} imports {other}"
    if "sandbox" in parts and path.relative_to(PACKAGE).as_posix() not in SANDBOX_STARTERS:
        yield f"{name_of(path)} imports the sandbox"


def test_imports_point_one_way_and_the_sandbox_stands_apart() -> None:
    assert [wrong for path in MODULES for wrong in importers(path)] == []


def test_the_package_never_names_itself_and_never_knows_comfyui() -> None:
    """ComfyUI loads the pack under a name made from its folder; the command line has no ComfyUI."""
    strangers = re.compile(r"(kling_once|nodes|folder_paths|server|execution|comfy\w*)(\.|$)")
    found = [
        f"{name_of(path)}: {name}"
        for path in MODULES
        for level, name in imports_of(tree_of(path))
        if level == 0 and strangers.match(name)
    ]
    assert found == []


def test_a_relative_import_never_leaves_the_package() -> None:
    found = [
        f"{name_of(path)}: {name}"
        for path in MODULES
        for level, name in imports_of(tree_of(path))
        if level > len(path.relative_to(PACKAGE).parts)
    ]
    assert found == []


def test_torch_is_imported_inside_functions_of_media_alone() -> None:
    def is_torch(node: ast.AST) -> bool:
        return any(name.split(".")[0] == "torch" for _, name in imports_of(node))

    outside = [name_of(path) for path in MODULES if part_of(path) != "media" and is_torch(tree_of(path))]
    at_import = [
        name_of(path)
        for path in MODULES
        for node in module_level(tree_of(path))
        if isinstance(node, (ast.Import, ast.ImportFrom)) and is_torch(node)
    ]
    assert outside + at_import == []


def test_the_environment_is_read_in_settings_alone() -> None:
    readers = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.Attribute, ast.alias))
        and (node.attr if isinstance(node, ast.Attribute) else node.name)
        in {"environ", "environb", "getenv", "putenv"}
    }
    assert readers <= {"kling_once/settings.py"}


def test_no_module_starts_a_process_evaluates_text_or_prints() -> None:
    called = [
        f"{name_of(path)}: {node.func.id}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"eval", "exec", "print", "__import__"}
    ]
    imported = [
        f"{name_of(path)}: {name}"
        for path in MODULES
        for _, name in imports_of(tree_of(path))
        if name in {"subprocess", "pickle", "marshal"}
    ]
    assert called + imported == []


@pytest.mark.parametrize("name", ["__init__.py", "nodes/__init__.py"])
def test_nothing_heavy_happens_when_pytest_or_comfyui_imports_the_pack(name: str) -> None:
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"{name} does not exist yet")
    for node in module_level(tree_of(path)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert module in {"__future__", "typing"}, ast.unparse(node)


def test_a_foreign_process_imports_the_roots_init_without_loading_anything_of_ours() -> None:
    if not (ROOT / "__init__.py").is_file():
        pytest.skip("the root __init__.py does not exist yet")
    code = (
        "import importlib.util, sys;"
        f"spec = importlib.util.spec_from_file_location('pack', {str(ROOT / '__init__.py')!r});"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in"
        " {'kling_once', 'av', 'numpy', 'torch', 'aiohttp', 'httpx', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_lines_help_loads_neither_torch_nor_av_nor_the_sandbox() -> None:
    code = (
        "import sys; from kling_once.cli.app import main; sys.argv = ['kling-once', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({name for name in sys.modules} & {'torch', 'kling_once.sandbox', 'obstore'}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def error_classes() -> dict[str, type]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == errors.__name__
    }


def drawn_tree() -> dict[str, str]:
    """Return {error: its parent} as the docstring of errors.py draws it."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:\|  |   )*)(?:[|`]- )?([A-Z][A-Za-z]+)\b", line)
        if not match or ("- " not in line and match[2] != "KlingOnceError"):
            continue
        depth = len(match[1]) // 3 + ("- " in line)
        above[depth:] = [match[2]]
        if depth:
            parents[match[2]] = above[depth - 1]
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_errors() -> None:
    real = {
        name: next(base.__name__ for base in kind.__mro__[1:] if base in error_classes().values())
        for name, kind in error_classes().items()
        if kind is not errors.KlingOnceError
    }
    assert drawn_tree() == real


def test_every_error_that_is_raised_outside_is_one_of_the_tree() -> None:
    """Subclasses elsewhere are private to their step, and are drawn from the tree."""
    importlib.import_module("kling_once.jobs.engine")
    importlib.import_module("kling_once.hosting.gateway")

    def below(kind: type) -> Iterator[type]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    elsewhere = {k.__name__ for k in below(errors.KlingOnceError) if k.__module__ != errors.__name__}
    assert elsewhere <= {"ClipNotThere", "LinkExpired", "NobodyWaits", "OtherTask"}


def test_the_ledgers_head_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(PACKAGE / "ledger" / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.HEAD]


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in requirements}


def test_installing_needs_no_torch() -> None:
    declared = PROJECT["project"]["dependencies"]
    assert names_of(declared).isdisjoint({"torch", "torchvision", "torchaudio"})
    required = importlib.metadata.requires("kling-once") or []
    without_extras = [line for line in required if "extra ==" not in line]
    assert names_of(without_extras).isdisjoint({"torch", "torchvision", "torchaudio"})


MODULE_NAMES = {"av": "av", "pyjwt": "jwt", "pillow": "pil", "pydantic-settings": "pydantic-settings"}


def test_every_dependency_is_imported_and_every_import_is_declared() -> None:
    declared = {MODULE_NAMES.get(name, name) for name in names_of(PROJECT["project"]["dependencies"])}
    imported = {
        name.split(".")[0].lower().replace("_", "-")
        for path in MODULES
        for level, name in imports_of(tree_of(path))
        if level == 0
    }
    standard = {name.lower().replace("_", "-") for name in sys.stdlib_module_names}
    optional = {"psutil", "torch"}  # guarded by the code that asks for them; ComfyUI has both
    brought_along = {"yarl"}  # aiohttp's own
    assert imported - standard - declared <= optional | brought_along
    assert declared - imported <= {"imageio"}


def test_the_entry_point_is_the_command_lines_main() -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="kling-once")
    assert entry.value == "kling_once.cli.app:main"
    assert callable(entry.load())


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(kling_once.__file__).parent / "py.typed").is_file()


SHIPPED_BY_COMFYUI = {
    "aiohttp",
    "alembic",
    "av",
    "blake3",
    "filelock",
    "numpy",
    "pillow",
    "pydantic",
    "pydantic-settings",
    "sqlalchemy",
}
"""ComfyUI 0.33.0's requirements.txt."""


def requirement_lines() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_requirements_txt_is_pyprojects_list_less_what_comfyui_ships() -> None:
    declared = PROJECT["project"]["dependencies"]
    wanted = [line for line in declared if names_of([line]).isdisjoint(SHIPPED_BY_COMFYUI)]
    assert requirement_lines() == wanted


def test_requirements_txt_holds_lower_bounds_only() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", line) for line in requirement_lines())


def test_comfyui_still_ships_what_we_leave_to_it() -> None:
    path = Path.home() / "comfy" / "ComfyUI" / "requirements.txt"
    if not path.is_file():
        pytest.skip("no ComfyUI checkout here")
    shipped = names_of(path.read_text(encoding="utf-8").splitlines())
    assert shipped >= SHIPPED_BY_COMFYUI


def test_tests_benchmarks_and_ci_stay_out_of_the_registrys_archive() -> None:
    ignored = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    assert {".*", "/tests/", "/benchmarks/", "/types/", "/package.json", "/tsconfig.json"} <= set(ignored)


def test_the_registry_is_told_the_oldest_comfyui_that_the_readme_names() -> None:
    comfy = PROJECT["tool"]["comfy"]
    named = re.search(r"needs ComfyUI ([0-9.]+) and Python", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert named is not None
    assert comfy["requires-comfyui"] == f">={named[1]}"


def test_the_registry_and_the_examples_name_the_pack_alike() -> None:
    pack = PROJECT["project"]
    for path in (ROOT / "examples" / "workflows").glob("*.json"):
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        ours = [node["properties"] for node in nodes if node["type"].startswith("KlingOnce_")]
        assert {(node["cnr_id"], node["ver"]) for node in ours} == {(pack["name"], pack["version"])}
