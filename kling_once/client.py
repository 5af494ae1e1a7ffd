"""The public API: one client for Python programs, the nodes, the page and the command line."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from .concurrency import on_signals
from .files import write_file
from .jobs.engine import Engine
from .jobs.progress import SHARED
from .settings import load_settings

if TYPE_CHECKING:
    from types import TracebackType

    from .clock import Clock
    from .jobs.progress import Watchers
    from .settings import Settings


RESULTS_NOTE: Final = "comfyui-results"
"""A file in the home that holds the path of ComfyUI's results folder."""


class Client(Engine):
    """Order, check, collect and list videos. Every method returns a `Pending`: `.result()` it, or await it.

    Use it in a `with` block, or `close` it. Several clients of one home, in any number of processes, share
    one ledger: what one has bought the others hand over.

    Args:
        settings: everything that is configured; by default the environment and `settings.json`.
        clock: time, for tests.
        watchers: hear where every job stands.
        **overrides: single settings that win over the environment, such as `home` or `results`.

    Raises:
        SettingsError: a setting cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        clock: Clock | None = None,
        watchers: Watchers | None = None,
        **overrides: Any,
    ) -> None:
        super().__init__(settings or _beside_comfyui(load_settings(**overrides)), clock, watchers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_opening: Final = threading.Lock()
_at_exit: Final = getattr(threading, "_register_atexit", atexit.register)
"""`atexit` runs after the interpreter has ended every thread pool: no answer could be written down then."""
_shared: Final[list[Client]] = []


def shared_client(
    *, results: Path, account_browse: Literal["own", "all"] = "all", embed_workflow: bool = True
) -> Client:
    """Return the one client of this process, made on the first call.

    Args:
        results: the results folder, where the operator set none.
        account_browse: which tasks of the account are listed and fetched, where the operator set nothing.
        embed_workflow: false keeps workflows out of the files of results, whatever else is set.

    Raises:
        SettingsError: a setting cannot be used.
    """
    with _opening:
        if not _shared:
            settings = load_settings()
            folder = "cache" if settings.results_url else "results"
            ours = {folder: results, "account_browse": account_browse}
            if unset := {name: ours[name] for name in ours.keys() - settings.model_fields_set}:
                settings = settings.model_copy(update=unset)
            if not embed_workflow:
                settings = settings.model_copy(update={"embed_workflow": False})
            _note_results(settings)
            _shared.append(Client(settings, watchers=SHARED))
            _at_exit(_close_shared)
        return _shared[0]


def let_go_on_sigterm() -> None:
    """Let go of leases before SIGTERM ends a process that does not handle it; for a loop of the main thread.

    Another machine goes on at once then; otherwise it waits until the leases have run out.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def end(number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        _close_shared()
        os.kill(os.getpid(), number)

    on_signals((signal.SIGTERM,), end)


def _note_results(settings: Settings) -> None:
    """Leave a note of ComfyUI's results folder in the home, for the command line."""
    with contextlib.suppress(OSError):  # a home that cannot be written is told when something is ordered
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(settings.home / RESULTS_NOTE, f"{settings.results_folder.absolute()}\n", private=True)


def _beside_comfyui(settings: Settings) -> Settings:
    """Return settings whose results lie where ComfyUI keeps them, once the pack has run there.

    What the operator set wins, and a folder that is gone does not count.
    """
    if "results" in settings.model_fields_set:
        return settings
    try:
        folder = Path((settings.home / RESULTS_NOTE).read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return settings
    return settings.model_copy(update={"results": folder}) if folder.is_dir() else settings


def _close_shared() -> None:
    with contextlib.suppress(Exception):  # the process ends: the ledger knows everything that counts
        _shared[0].close()
