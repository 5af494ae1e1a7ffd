"""Figures of the product's structure, read from its sources: files, lines, importers, circles, docstrings.

The product is `kling_once/`, `nodes/` and the root `__init__.py`; tests and benchmarks do not count. The
layers stand in pyproject.toml under `[tool.kling-once]`, where `tests/test_architecture.py` reads them too.
"""

from __future__ import annotations

import argparse
import ast
import json
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "kling_once"
PACK = "pack"
"""What the root's `__init__.py` is called here and in the layers."""

STEPS = tuple(f"{PACKAGE}.jobs.{step}" for step in ("fulfil", "submit", "settle", "wait", "collect"))
"""Called from one place on purpose: the run."""

PUBLIC_FACES = {
    PACK: "ComfyUI's entry",
    "*.__main__": "`python -m`",
    f"{PACKAGE}.cli.app": "the command `kling-once`",
    f"{PACKAGE}.cli.commands": "the commands of `kling-once`",
    f"{PACKAGE}.cli.doctor": "the command `kling-once doctor`",
    f"{PACKAGE}.cli.elements": "the commands `kling-once elements`",
    f"{PACKAGE}.cli.ledger": "the commands `kling-once ledger`",
    f"{PACKAGE}.cli.worker": "the command `kling-once worker`",
    f"{PACKAGE}.hosting.gateway_server": "what a tunnel leads to",
    f"{PACKAGE}.hosting.object_store": "a media host, chosen by configuration",
    f"{PACKAGE}.ledger.postgresql": "a database, chosen by configuration",
    f"{PACKAGE}.ledger.sqlite": "likewise",
    f"{PACKAGE}.results.bucket": "where results are kept, chosen by configuration",
    f"{PACKAGE}.media.conform": "what media does for an order",
    f"{PACKAGE}.media.cuts": "likewise",
    f"{PACKAGE}.media.digest": "likewise",
    f"{PACKAGE}.media.join": "what media does for a node",
    f"{PACKAGE}.media.split": "likewise",
    f"{PACKAGE}.sandbox.endpoints": "the sandbox's routes",
    f"{PACKAGE}.sandbox.results": "likewise",
    f"{PACKAGE}.ledger.migrations.*": "Alembic reads these by path",
    "nodes.extension": "the list of nodes",
    "nodes.motion_control": "node classes",
    "nodes.tasks": "node classes",
    "nodes.elements": "node classes",
    "nodes.parts": "node classes",
    "nodes.frames": "node classes",
    f"{PACKAGE}.web.account": "routes",
    f"{PACKAGE}.web.elements": "routes",
    f"{PACKAGE}.web.hosting": "routes",
    f"{PACKAGE}.web.jobs": "routes",
    f"{PACKAGE}.web.money": "routes",
    f"{PACKAGE}.web.node": "routes",
}
"""Modules that are called from outside the product, by pattern, and why.

The `__init__` of every package is one too.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A source file of the product."""

    name: str
    """Dotted, without `.__init__`."""
    path: Path
    lines: int
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Module:
        """Read and parse a file."""
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        text = path.read_text(encoding="utf-8")
        return cls(".".join(parts) or PACK, path, len(text.splitlines()), ast.parse(text))

    @property
    def shown(self) -> str:
        """Return the path below the root."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def is_package(self) -> bool:
        """Tell whether this is the `__init__` of a package."""
        return self.path.name == "__init__.py"

    @property
    def part(self) -> str:
        """Return the name under which the layers list this module, such as `jobs` or `nodes`."""
        first, *rest = self.name.split(".")
        return [*rest, "__init__"][0] if first == PACKAGE else first

    @property
    def is_face(self) -> bool:
        """Tell whether somebody outside the product calls this module."""
        return self.is_package or any(fnmatchcase(self.name, pattern) for pattern in PUBLIC_FACES)


@dataclass(frozen=True, slots=True)
class Import:
    """One module of the product imports another."""

    importer: Module
    imported: Module
    when_imported: bool
    """Whether it runs while the importer is imported: not inside a function, and not for types alone."""


def product() -> dict[str, Module]:
    """Return {dotted name: module}."""
    paths = [ROOT / "__init__.py", *(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "nodes").rglob("*.py")]
    return {module.name: module for module in map(Module.read, sorted(paths))}


def layers() -> dict[str, int]:
    """Return {part: layer}; a part imports from lower layers and from itself."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = settings["tool"]["kling-once"]["layers"]
    return {part: number for number, row in enumerate(rows) for part in row}


def imports(modules: dict[str, Module]) -> list[Import]:
    """Return every import of one module of the product by another, each pair once."""
    found: dict[tuple[str, str], bool] = {}
    for module in modules.values():
        for node, when_imported in _statements(module.tree, when_imported=True):
            for name in _targets(module, node):
                imported = name if name in modules else name.rpartition(".")[0]
                if imported in modules and imported != module.name:
                    pair = module.name, imported
                    found[pair] = found.get(pair, False) or when_imported
    return [Import(modules[a], modules[b], now) for (a, b), now in found.items()]


def _statements(tree: ast.AST, *, when_imported: bool) -> Iterator[tuple[ast.ImportFrom, bool]]:
    """Yield each `from ... import`, and whether it runs when its module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            yield node, when_imported
            continue
        is_later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        yield from _statements(node, when_imported=when_imported and not is_later and not is_for_types)


def _targets(module: Module, node: ast.ImportFrom) -> Iterator[str]:
    """Yield `module.name` for each name of a relative import."""
    if not node.level:
        return
    package = [] if module.name == PACK else module.name.split(".")
    for _ in range(node.level - module.is_package):
        package.pop()
    base = [*package, *([node.module] if node.module else [])]
    for alias in node.names:
        yield ".".join([*base, alias.name])


def circles(edges: list[Import]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    graph: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        graph[edge.importer.name].add(edge.imported.name)
    reached = {name: _reached(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached.get(other, ()))
        for name in graph
        if name in reached[name]
    }
    return sorted(sorted(group) for group in groups)


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph.get(name, ())
    return seen


def upward(edges: list[Import], layer_of: dict[str, int]) -> list[str]:
    """Return the imports that do not point to a lower layer, also those inside functions and for types.

    The sandbox imports nothing of the others; who may start it is the architecture test's business.
    """
    wrong = []
    for edge in edges:
        above, below = edge.importer, edge.imported
        if below.part in {above.part, "sandbox"}:
            continue
        if above.part == "sandbox" or layer_of[below.part] >= layer_of[above.part]:
            wrong.append(f"{above.shown} imports {below.shown}")
    return sorted(wrong)


def with_one_importer(edges: list[Import]) -> dict[Module, Module]:
    """Return {module: its only importer}."""
    importers: dict[Module, list[Module]] = defaultdict(list)
    for edge in edges:
        importers[edge.imported].append(edge.importer)
    return {module: known[0] for module, known in importers.items() if len(known) == 1}


def undescribed(module: Module) -> list[str]:
    """Return the public functions, classes and methods of a module that have no docstring."""

    def bare(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                is_setter = any(ast.unparse(mark).endswith(".setter") for mark in node.decorator_list)
                if node.name.startswith("_") or is_setter:
                    continue
                if ast.get_docstring(node) is None:
                    yield f"{module.shown}: {prefix}{node.name}"
                if isinstance(node, ast.ClassDef):
                    yield from bare(node.body, f"{node.name}.")

    return list(bare(module.tree.body, ""))


def figures(longest: int) -> dict[str, Any]:
    """Return everything that is printed.

    Args:
        longest: how many of the longest files are named.
    """
    modules = product()
    edges = imports(modules)
    single = with_one_importer(edges)
    lonely = {a: b for a, b in single.items() if a.name not in STEPS and not a.is_face}
    everything = sorted(modules.values(), key=lambda module: -module.lines)
    folders: dict[str, list[Module]] = defaultdict(list)
    for module in everything:
        folders[module.part].append(module)
    unused = [p for p in PUBLIC_FACES if not any(fnmatchcase(name, p) for name in modules)]
    return {
        "modules": len(modules),
        "modules_without_init": sum(not module.is_package for module in everything),
        "lines": sum(module.lines for module in everything),
        "folders": {
            part: {"modules": len(inside), "lines": sum(module.lines for module in inside)}
            for part, inside in sorted(folders.items())
        },
        "single_importer": len(single),
        "single_importer_unexcused": sorted(f"{a.shown} <- {b.shown}" for a, b in lonely.items()),
        "share_unexcused": round(len(lonely) / len(modules), 3),
        "circles": circles([edge for edge in edges if edge.when_imported]),
        "upward": upward(edges, layers()),
        "longest": {module.shown: module.lines for module in everything[:longest]},
        "public_without_docstring": [name for module in modules.values() for name in undescribed(module)],
        "faces_that_are_not_there": unused,
    }


def main() -> None:
    """Print the figures as text, or as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--longest", type=int, default=10, help="how many of the longest files to name")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    told = figures(asked.longest)
    if asked.json:
        print(json.dumps(told, indent=1))
        return
    print(f"Modules            {told['modules']} ({told['modules_without_init']} without __init__.py)")
    print(f"Lines              {told['lines']}")
    for part, inside in told["folders"].items():
        print(f"  {part:<16} {inside['modules']:4} modules {inside['lines']:6} lines")
    lonely = told["single_importer_unexcused"]
    share = f"{told['share_unexcused']:.1%}"
    print(f"Single importer    {told['single_importer']}; neither step nor face: {len(lonely)} ({share})")
    for title, names in (
        ("", lonely),
        ("Import circles", [" <-> ".join(circle) for circle in told["circles"]]),
        ("Upward imports", told["upward"]),
        ("No docstring", told["public_without_docstring"]),
        ("Faces not there", told["faces_that_are_not_there"]),
    ):
        if title:
            print(f"{title:<18} {len(names)}")
        for name in names:
            print(f"  {name}")
    print("Longest files")
    for name, lines in told["longest"].items():
        print(f"  {lines:5}  {name}")


if __name__ == "__main__":
    main()
