"""Kling Motion Control with your own account: paid once, kept for good.

The public API::

    from pathlib import Path
    from kling_once import Client, Order, VideoFile

    with Client() as client:
        print(client.run(Order(Path("figure.png"), VideoFile(Path("dance.mp4")))).result().path)

Nodes, page and command line come in by the same door. Names are loaded when they are first used, so importing
the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors
    from .api.motion_control import MotionControl
    from .client import Client
    from .concurrency import Pending
    from .errors import KlingOnceError
    from .jobs.check import Checked
    from .jobs.outcome import MadeElement, Outcome, TaskPage
    from .jobs.progress import Progress
    from .jobs.recovery import Wanted
    from .ledger.attempts import Attempt
    from .media.types import ConformMode, Frames, TrimWindow
    from .order import (
        Cuts,
        ElementOrder,
        Order,
        Service,
        VideoFile,
        VideoFrames,
        VideoUrl,
    )

__all__ = [
    "Attempt",
    "Checked",
    "Client",
    "ConformMode",
    "Cuts",
    "ElementOrder",
    "Frames",
    "KlingOnceError",
    "MadeElement",
    "MotionControl",
    "Order",
    "Outcome",
    "Pending",
    "Progress",
    "Service",
    "TaskPage",
    "TrimWindow",
    "VideoFile",
    "VideoFrames",
    "VideoUrl",
    "Wanted",
    "errors",
]

_HOMES = {
    "Attempt": "ledger.attempts",
    "Checked": "jobs.check",
    "Client": "client",
    "ConformMode": "media.types",
    "Cuts": "order",
    "ElementOrder": "order",
    "Frames": "media.types",
    "KlingOnceError": "errors",
    "MadeElement": "jobs.outcome",
    "MotionControl": "api.motion_control",
    "Order": "order",
    "Outcome": "jobs.outcome",
    "Pending": "concurrency",
    "Progress": "jobs.progress",
    "Service": "order",
    "TaskPage": "jobs.outcome",
    "TrimWindow": "media.types",
    "VideoFile": "order",
    "VideoFrames": "order",
    "VideoUrl": "order",
    "Wanted": "jobs.recovery",
}


def __getattr__(name: str) -> Any:
    """Return a public name, importing the module that defines it."""
    if name == "errors":
        return import_module(".errors", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
