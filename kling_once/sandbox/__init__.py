"""A local stand-in for Kling's motion-control API: same paths, same rules, no key, no cost.

Written from the vendor's documentation alone. It imports nothing else of `kling_once`: if client and
server shared a reading of the page, they would share its mistakes.
"""

from .control import VERSION
from .options import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_API_KEY,
    DEFAULT_SECRET_KEY,
    SandboxOptions,
    Transitions,
)
from .server import Sandbox, serve

__all__ = [
    "DEFAULT_ACCESS_KEY",
    "DEFAULT_API_KEY",
    "DEFAULT_SECRET_KEY",
    "VERSION",
    "Sandbox",
    "SandboxOptions",
    "Transitions",
    "serve",
]
