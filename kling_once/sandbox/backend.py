"""What the handlers of one running sandbox share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING, Final

from .callbacks import Callbacks
from .fetch import Fetcher
from .files import Files
from .settings import load_settings
from .tasks import advance_due, callbacks_outstanding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .options import SandboxOptions
    from .store import Store
    from .tasks import Change, Task

TICK_SECONDS: Final = 0.25

logger = logging.getLogger(__name__)


class Backend:
    """State, files, fetching and callbacks of one server."""

    def __init__(self, options: SandboxOptions, folder: Path, store: Store, secret: str) -> None:
        self.options = options
        self.folder = folder
        self.store = store
        self.files = Files(folder, secret, options.now)
        self.fetcher = Fetcher(folder, self.files, options.fetch)
        self.callbacks = Callbacks(options, self.link)
        self.origin = ""
        self._wake = asyncio.Event()
        self._wake.set()

    def link(self, task: Task, name: str) -> str:
        """Make a result's URL at this server's own origin."""
        return result_url(self.origin, task, name)

    def announce(self, changes: Sequence[Change]) -> None:
        """Send the callbacks of changes that this process made."""
        self.callbacks.send(changes)
        if any(task.callback_url for task, _ in changes):
            self._wake.set()

    async def move_on(self) -> None:
        """Move tasks on by themselves while one of them wants callbacks; runs until cancelled.

        Tasks that nobody is called about move when somebody looks.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                changes, waiting = await self.store.write(self._tick)
            except sqlite3.Error:
                logger.exception("The sandbox could not move its tasks on")
                changes, waiting = [], True
            if waiting:
                self._wake.set()
            self.announce(changes)
            await asyncio.sleep(TICK_SECONDS)

    def _tick(self, connection: sqlite3.Connection) -> tuple[list[Change], bool]:
        if not callbacks_outstanding(connection):
            return [], False
        settings = load_settings(connection, self.options)
        return advance_due(connection, settings.transitions, self.options.now()), True


def result_url(origin: str, task: Task, name: str) -> str:
    """Make a result's URL; the name in it cannot be guessed."""
    return f"{origin}/sandbox/results/{task.task_id}/{name}.mp4"


async def cancelled(job: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is over."""
    job.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await job
