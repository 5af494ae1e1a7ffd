"""A local stand-in for Kling's motion-control API: same paths, same rules, no key, no cost.

Written from the vendor's documentation alone and importing nothing else of `kling_once`, so that
the client and its opposite do not share one misunderstanding.
"""

from .options import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_API_KEY,
    DEFAULT_SECRET_KEY,
    VERSION,
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
