"""Which version of this package runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return this package's version; inside ComfyUI the pack is not an installed distribution."""
    try:
        return version("kling-once")
    except PackageNotFoundError:
        return "0.1.0"
