"""The nodes' own modules before a stand-in for ComfyUI: the host lane runs them in the real one."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACK = "kling_once_pack_for_nodes"


class Told(Exception):
    """One message for people."""


@pytest.fixture
def node_run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return nodes/node_run.py, whose `host` is a mock."""
    pack, host = ModuleType(PACK), MagicMock(KlingOnceFailure=Told)
    pack.__path__ = [str(ROOT)]
    monkeypatch.setitem(sys.modules, PACK, pack)
    monkeypatch.setitem(sys.modules, f"{PACK}.nodes.host", host)
    module = importlib.import_module(f"{PACK}.nodes.node_run")
    for name in [name for name in sys.modules if name.startswith(f"{PACK}.")]:
        monkeypatch.delitem(sys.modules, name)
    return module
