"""No code that nothing uses; what others use is listed in pyproject.toml, with who they are."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_everything_is_used_by_something() -> None:
    if importlib.util.find_spec("vulture") is None:
        pytest.skip("vulture is not installed: pip install kling-once[dev]")
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "vulture"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.stdout == ""
    assert ended.returncode == 0, ended.stderr
