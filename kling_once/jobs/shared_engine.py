"""The one engine of this process, for everybody who lives in it: nodes, routes, pages."""

from __future__ import annotations

import atexit
import contextlib
import threading
from typing import TYPE_CHECKING, Final, Literal

from ..settings import load_settings
from .engine import Engine
from .progress import SHARED

if TYPE_CHECKING:
    from pathlib import Path

_opening: Final = threading.Lock()
_at_exit: Final = getattr(threading, "_register_atexit", atexit.register)
"""`atexit` comes after the interpreter has ended every thread pool: no answer could be written down then."""
_engines: Final[list[Engine]] = []


def shared_engine(*, results: Path, account_browse: Literal["own", "all"] = "all") -> Engine:
    """Return the engine, made on the first call; the arguments hold where the operator set nothing else.

    Raises:
        SettingsError: a setting cannot be used.
    """
    with _opening:
        if not _engines:
            settings = load_settings()
            ours = {"results": results, "account_browse": account_browse}
            if unset := {name: ours[name] for name in ours.keys() - settings.model_fields_set}:
                settings = settings.model_copy(update=unset)
            _engines.append(Engine(settings, watchers=SHARED))
            _at_exit(_close)
        return _engines[0]


def _close() -> None:
    with contextlib.suppress(Exception):  # the process ends: the ledger knows everything that counts
        _engines[0].close()
