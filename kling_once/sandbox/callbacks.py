"""Callbacks: posted in order, signed, and on time even when nobody polls."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from standardwebhooks import Webhook

from .connection import is_loopback
from .options import load_settings
from .task_view import callback_view
from .tasks import advance_due, callbacks_outstanding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import SandboxOptions
    from .store import Store
    from .tasks import Change

TICK_SECONDS: Final = 0.25
CALLBACK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)

logger = logging.getLogger(__name__)


class Callbacks:
    """Post the legacy body to `callback_url` when a task changes its status.

    Args:
        options: which URLs may be called, and the secret of the signature.
        store: the state.

    Attributes:
        origins: origins that an embedded sandbox may call; the embedder may add to them at any time.
        own_origin: origin of this server, with which result URLs begin.
    """

    def __init__(self, options: SandboxOptions, store: Store) -> None:
        self.origins = set(options.callback_origins)
        self.own_origin = ""
        self._options = options
        self._store = store
        self._webhook = Webhook(options.callback_secret) if options.callback_secret else None
        self._last_of: dict[int, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._wake.set()

    def allows(self, url: str) -> bool:
        """Return whether this sandbox may call a URL; see `SandboxOptions.callbacks`."""
        parts = urlsplit(url)
        if self._options.callbacks == "any":
            return True
        if not is_loopback(parts.hostname):
            return False
        return not self._options.embedded or f"{parts.scheme}://{parts.netloc}" in self.origins

    def announce(self, changes: Sequence[Change]) -> None:
        """Queue the callbacks of changes that this process made; those of one task arrive in order."""
        for task, status in changes:
            if task.callback_url is None:
                continue
            self._wake.set()
            if self.allows(task.callback_url):
                body = callback_view(task, status, self.own_origin)
                before = self._last_of.get(task.n)
                job = asyncio.create_task(self._post_after(before, task.callback_url, body))
                self._last_of[task.n] = job
                job.add_done_callback(lambda done, n=task.n: self._forget(n, done))

    async def advance_tasks(self) -> None:
        """Advance tasks that are due while an unfinished one has a callback URL; runs until cancelled.

        Other tasks advance when they are queried.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                changes, waiting = await self._store.write(self._tick)
            except sqlite3.Error:
                logger.exception("The sandbox could not move its tasks on")
                changes, waiting = [], True
            if waiting:
                self._wake.set()
            self.announce(changes)
            await asyncio.sleep(TICK_SECONDS)

    async def stop(self) -> None:
        """Drop the callbacks that are still on their way."""
        jobs = list(self._last_of.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _tick(self, connection: sqlite3.Connection) -> tuple[list[Change], bool]:
        if not callbacks_outstanding(connection):
            return [], False
        settings = load_settings(connection, self._options)
        return advance_due(connection, settings.transitions, self._options.now()), True

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
        """Return the headers of Standard Webhooks, as Kling's page on callbacks describes them."""
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
