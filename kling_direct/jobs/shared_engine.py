"""The one engine of this process, for everybody who lives in it: nodes, routes, pages."""

from __future__ import annotations

import atexit
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from ..settings import load_settings
from .engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

_opening: Final = threading.Lock()
_engines: Final[list[Engine]] = []


def shared_engine(*, results: Path) -> Engine:
    """Return the engine, made on the first call; `results` holds where the operator set nothing else.

    Raises:
        SettingsError: a setting cannot be used.
    """
    with _opening:
        if not _engines:
            settings = load_settings()
            if settings.results is None:
                settings = load_settings(results=results)
            _engines.append(Engine(settings))
            atexit.register(_close)
        return _engines[0]


def _close() -> None:
    with contextlib.suppress(Exception):  # the process ends: the ledger knows everything that counts
        _engines[0].close()
