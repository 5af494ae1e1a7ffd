"""Callbacks at each change of a task: posted in the background, in order, never in the way."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from standardwebhooks import Webhook

from .addresses import is_loopback
from .task_view import callback_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .options import SandboxOptions
    from .tasks import Change, Task

CALLBACK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)

logger = logging.getLogger(__name__)


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
