"""Where the routes live: what they need of the program that serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..kling_once.jobs.engine import Engine


@dataclass(frozen=True)
class Place:
    """The server around the routes."""

    engine: Callable[[], Engine]
    """Return the engine that the nodes use as well; may block."""
    output_folder: Callable[[], Path]
    """Where ComfyUI shows files from."""
    input_file: Callable[[str], Path | None]
    """Return the file that a loader's widget names, None for anything that is not in ComfyUI's folders."""
    signature: Callable[[dict[str, Any], str], str]
    """Return the hash of a node and everything that leads to it, from an API prompt."""
    off_text: Callable[[str], str]
    """Return why a service may not be asked for anything, such as `kling`; empty where it may."""
