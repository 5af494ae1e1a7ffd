"""The ledger of an engine, for tests that have no event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def open_ledger(engine: Any) -> Any:
    """Return the engine's ledger; it may be the pack's own copy of the class."""
    return asyncio.run(engine.ledger())


def ask_ledger(engine: Any, question: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a method of the engine's ledger answers."""
    return asyncio.run(question(open_ledger(engine)))
