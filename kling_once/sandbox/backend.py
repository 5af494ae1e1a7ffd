"""What the handlers of one running sandbox share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from standardwebhooks import Webhook

from .fetch import Fetcher, is_loopback
from .files import Files
from .options import load_settings
from .task_view import callback_view
from .tasks import advance_due, callbacks_outstanding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
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


CALLBACK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class Callbacks:
    """Post the legacy body to `callback_url` when a task changes, signed when a secret is set.

    `origins` are the ones that an embedder allows; it may add to them at any time.
    """

    def __init__(self, options: SandboxOptions, link: Callable[[Task, str], str]) -> None:
        self.origins = set(options.callback_origins)
        self._options = options
        self._link = link
        self._webhook = Webhook(options.callback_secret) if options.callback_secret else None
        self._last_of: dict[int, asyncio.Task[None]] = {}

    def send(self, changes: Iterable[Change]) -> None:
        """Queue the callbacks of these changes; those of one task arrive in order."""
        for task, status in changes:
            if task.callback_url is None or not self.allows(task.callback_url):
                continue
            body = callback_view(task, status, self._link)
            before = self._last_of.get(task.n)
            job = asyncio.create_task(self._post_after(before, task.callback_url, body))
            self._last_of[task.n] = job
            job.add_done_callback(lambda done, n=task.n: self._forget(n, done))

    def allows(self, url: str) -> bool:
        """Tell whether this sandbox may call a URL: see `SandboxOptions.callbacks`."""
        parts = urlsplit(url)
        if self._options.callbacks == "any":
            return True
        if not is_loopback(parts.hostname):
            return False
        return not self._options.embedded or f"{parts.scheme}://{parts.netloc}" in self.origins

    async def stop(self) -> None:
        """Drop what is still on its way."""
        jobs = list(self._last_of.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _forget(self, n: int, done: asyncio.Task[None]) -> None:
        if self._last_of.get(n) is done:
            del self._last_of[n]

    async def _post_after(self, before: asyncio.Task[None] | None, url: str, body: dict[str, Any]) -> None:
        if before is not None:
            await asyncio.wait([before])
        content = json.dumps(body, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"} | self._signature(content)
        proxied = not is_loopback(urlsplit(url).hostname)
        try:
            async with (
                aiohttp.ClientSession(timeout=CALLBACK_TIMEOUT, trust_env=proxied) as session,
                session.post(url, data=content, headers=headers, allow_redirects=False) as answer,
            ):
                logger.debug("A callback of task %s was answered %d", body["task_id"], answer.status)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            logger.info("A callback of task %s failed: %s", body["task_id"], type(error).__name__)

    def _signature(self, content: bytes) -> dict[str, str]:
        """Sign by Standard Webhooks, as Kling's page on callbacks says."""
        if self._webhook is None:
            return {}
        identifier = f"msg_{secrets.token_hex(12)}"
        moment = datetime.fromtimestamp(int(self._options.now()), UTC)
        signature = self._webhook.sign(identifier, moment, content.decode())
        return {
            "webhook-id": identifier,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
        }
