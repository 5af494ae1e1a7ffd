"""Make `sentences.json` from the sources: the template of every sentence that people may be told.

Run in the root: `python -m tests.web.sentences`.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kling_once.web.sentences import sentence_id

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PATH: Final = ROOT / "kling_once" / "web" / "sentences.json"
ELSEWHERE: Final = (
    "kling_once/sandbox/",
    "kling_once/cli/",
    "kling_once/demo/",
    "__main__.py",
    "web/openapi.py",
)
"""What speaks to a terminal, or to nobody."""
NOT_SAID: Final = {"tooltip", "description", "search_aliases", "display_name", "tip", "help", "__doc__"}
"""Arguments with words of their own in `locales/`."""
LITERAL_ONLY: Final = {
    "Setting",
    "setting",
    "TypeError",
    "RuntimeError",
    "AssertionError",
    "ValueError",
    "compile",
}
"""Calls whose texts are no messages."""
MADE: Final = {"{0} units"}
"""Phrases that are put together from parts."""


def words(language: str) -> dict[str, str]:
    """Return a language's words for sentences, by id."""
    path = ROOT / "locales" / language / "main.json"
    return json.loads(path.read_text(encoding="utf-8"))["klingOnce"].get("said", {})


def templates() -> list[str]:
    """Return the sentences of the sources, and the phrases that have words in Chinese."""
    phrases = words("zh").keys()
    found = set(MADE)
    for path in sorted([*(ROOT / "kling_once").rglob("*.py"), *(ROOT / "nodes").glob("*.py")]):
        if any(part in path.relative_to(ROOT).as_posix() for part in ELSEWHERE):
            continue
        found |= set(texts_of(ast.parse(path.read_text(encoding="utf-8"))))
    return sorted(one for one in found if _is_sentence(one) or sentence_id(one) in phrases)


def _is_sentence(text: str) -> bool:
    return " " in text and text.endswith(".")


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Return the templates of what a source tells people, sentences and parts of them."""
    for node in _spoken(tree):
        text = _template(node)
        if text is not None and re.search("[a-z]{2}", text) and (" " in text or "_" not in text):
            yield text.strip()


def _spoken(node: ast.AST) -> Iterator[ast.expr]:
    """Walk what people may be told: no docstrings, no log, no broken limits, which have rules."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _breaks_rules(node):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.keyword) and node.arg in NOT_SAID:
        return
    if isinstance(node, ast.Call) and _is_silent(node.func):
        return
    if isinstance(node, (ast.Constant, ast.JoinedStr)):
        yield node
    if isinstance(node, ast.JoinedStr):
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                yield from _spoken(value)
        return
    for child in ast.iter_child_nodes(node):
        yield from _spoken(child)


def _breaks_rules(node: ast.AST) -> bool:
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return any(isinstance(one, ast.Name) and one.id in {"Violation", "broken"} for one in calls)


def _is_silent(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        is_log = isinstance(function.value, ast.Name) and function.value.id == "logger"
        return is_log or function.attr in LITERAL_ONLY
    return isinstance(function, ast.Name) and function.id in LITERAL_ONLY


def _template(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = [str(value.value) if isinstance(value, ast.Constant) else "\0" for value in node.values]
    texts = re.split("\0+", "".join(parts))  # values side by side are one place
    return texts[0] + "".join(f"{{{place}}}{text}" for place, text in enumerate(texts[1:]))


def text() -> str:
    """Return the file."""
    return json.dumps(templates(), indent=0, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
