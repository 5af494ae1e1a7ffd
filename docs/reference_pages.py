"""Write the reference pages from the code: nodes, command line, settings, errors, routes, Python.

`python docs/reference_pages.py [FOLDER]` writes to docs/reference, where a test compares
the pages with the code.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

import kling_once
from kling_once import errors
from kling_once.api.service_codes import SERVICE_CODES
from kling_once.cli.commands import app
from kling_once.settings import Settings, variable_of
from kling_once.web.openapi import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
FIRST = ("Client", "Order", "MotionControl", "VideoFile", "VideoFrames", "VideoUrl", "Service", "Outcome")
"""The names of the package that a reader wants first."""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return a Markdown table."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return [*lines, ""]


def _cell(value: object) -> str:
    """Return text on one line; outside of code, what looks like a tag is no tag."""
    pieces = " ".join(str(value).replace("|", "\\|").split()).split("`")
    return "`".join(piece if place % 2 else piece.replace("<", "&lt;") for place, piece in enumerate(pieces))


def nodes() -> Iterator[str]:
    """Yield the page of the nodes, from the words that ComfyUI shows."""
    yield "# Nodes\n\nEvery input and output, in the words of ComfyUI's tooltips.\n"
    words = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    for node_id, node in words.items():
        yield f"## {node['display_name']}\n\n`{node_id}`: {node.get('description', '')}\n"
        for kind in ("inputs", "outputs"):
            items = node.get(kind, {})
            named = [(item.get("name", name), item.get("tooltip", "")) for name, item in items.items()]
            named = [(name, text) for name, text in named if text or kind == "outputs"]
            if named:
                yield from table((kind[:-1], "meaning"), ((f"`{name}`", text) for name, text in named))


def command_line() -> Iterator[str]:
    """Yield the page of the commands, from their own help."""
    yield "# Command line\n\nWhat `kling-once COMMAND --help` says.\n"
    yield from _commands("kling-once", typer.main.get_command(app))


def _commands(path: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from _commands(f"{path} {name}", child)
        return
    yield f"## {path}\n\n{command.help}\n"
    rows = []
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        names = [parameter.name] if is_argument else [*parameter.opts, *parameter.secondary_opts]
        default = parameter.default
        shown = "" if default in (None, False, "") or callable(default) else f"`{default}`"
        rows.append((", ".join(f"`{name}`" for name in names), getattr(parameter, "help", "") or "", shown))
    if rows:
        yield from table(("argument", "meaning", "default"), rows)


def settings() -> Iterator[str]:
    """Yield the page of the settings."""
    yield "# Settings\n"
    yield (
        "Environment variables win over `settings.json`, which `kling-once doctor` names. The file has the"
        ' same names in lower case and without the prefix, such as `{"max_units_per_day": 300}`; a name that'
        " is not known is refused. Of variables `doctor` names those that are not known. Keys do not belong"
        " in the file.\n"
    )
    rows = []
    for name, field in Settings.model_fields.items():
        has_default = field.default_factory is None and field.default not in (None, ())
        default = f"`{field.default}`" if has_default else ""
        rows.append((f"`{variable_of(name)}`", default, field.description))
    yield from table(("variable", "default", "meaning"), rows)
    yield (
        "`HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` count for everything that leaves this machine. A SOCKS"
        " proxy needs `pip install 'httpx[socks]'`.\n"
    )


def error_page() -> Iterator[str]:
    """Yield the page of errors: the vendor's codes, and our own error classes."""
    yield "# Errors and advice\n\n## Kling's codes\n\nHow Kling Once understands each code, and what to do.\n"
    rows = (
        (
            code,
            row.http_status,
            f"[{row.error.__name__}](#{row.error.__name__.lower()})",
            row.meaning,
            row.hint,
        )
        for code, row in SERVICE_CODES.items()
    )
    yield from table(("code", "HTTP", "error", "meaning", "what to do"), rows)
    yield "## Our own errors\n\nEach carries `message`, `hint` and, once there is one, `task_id`.\n"
    for name, found in vars(errors).items():
        if inspect.isclass(found) and issubclass(found, errors.KlingOnceError):
            bases = ", ".join(base.__name__ for base in found.__bases__ if base is not Exception)
            yield f"### {name}\n"
            yield f"{inspect.getdoc(found)}\n"
            if bases:
                yield f"A kind of `{bases}`.\n"


def routes() -> Iterator[str]:
    """Yield the page of the routes, from OpenAPI."""
    yield (
        "# Routes\n\nWhat the pack adds to ComfyUI's server, for its own page. The full description is"
        " [openapi.json](../openapi.json).\n"
    )
    rows = [
        (f"`{method.upper()}`", f"`{path}`", call.get("summary", ""))
        for path, calls in document("1")["paths"].items()
        for method, call in calls.items()
    ]
    yield from table(("method", "path", "does"), rows)


def python() -> Iterator[str]:
    """Yield the page of the Python package."""
    yield "# Python\n\nThe names of `kling_once`; `kling_once.errors` holds the errors.\n"
    rest = [name for name in kling_once.__all__ if name not in {*FIRST, "errors"}]
    for name in (*FIRST, *rest):
        found = getattr(kling_once, name)
        yield f"## {name}\n\n::: {found.__module__}.{found.__qualname__}\n"


PAGES = {
    "nodes": nodes,
    "command-line": command_line,
    "settings": settings,
    "errors": error_page,
    "routes": routes,
    "python": python,
}


def text_of(name: str) -> str:
    """Return the Markdown of a reference page."""
    return "\n".join(PAGES[name]())


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    for page in PAGES:
        (folder / f"{page}.md").write_text(text_of(page), encoding="utf-8")
