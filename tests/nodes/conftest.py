"""The nodes' own modules before a stand-in for ComfyUI: the host lane runs them in the real one."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PACK = "kling_once_pack_for_nodes"


class Told(Exception):
    """One message for people."""


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Return a module of nodes/ by its name; `host` is a mock to all of them."""
    pack, host = ModuleType(PACK), MagicMock(KlingOnceFailure=Told)
    pack.__path__ = [str(ROOT)]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, PACK, pack)
        patch.setitem(sys.modules, f"{PACK}.nodes.host", host)
        yield lambda name: importlib.import_module(f"{PACK}.nodes.{name}")
    for name in [name for name in sys.modules if name.startswith(f"{PACK}.")]:
        del sys.modules[name]


@pytest.fixture
def node_run(part: Callable[[str], Any]) -> Any:
    return part("node_run")


@pytest.fixture
def node_items(part: Callable[[str], Any]) -> Any:
    return part("node_items")
