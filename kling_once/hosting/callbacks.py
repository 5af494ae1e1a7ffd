"""Kling's callbacks: check the signature, record the task they name, wake whoever waits for it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import standardwebhooks

from ..errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from ..clock import Clock
    from .gateway_files import GatewayTable

logger = logging.getLogger(__name__)

TASK_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
DEBOUNCE_SECONDS: Final = 1.0
"""Shortest wait for a callback, so that a flood of them causes one look at the task a second."""
TABLE_POLL_SECONDS: Final = 1.0
"""How often the table is read while another process receives the callbacks."""
OVERLAP: Final = timedelta(seconds=1)
"""How long before a wait a callback may have come and still end it.

It covers the callback that arrives while the answer to a look is on its way, and the milliseconds between
the time in a row of the table and the moment when other processes see the row.
"""


class Callbacks:
    """The callbacks of one home: rows in a table for every process, events for the one that serves.

    A callback says "look at this task now" and nothing more: nobody believes the status in its body.
    """

    def __init__(self, secret: SecretStr | None, table: GatewayTable, clock: Clock) -> None:
        """Prepare to take callbacks.

        Args:
            secret: `whsec_...` of signed callbacks; None accepts unsigned ones.
            table: where the home's processes record callbacks.
            clock: for the time of a callback, and for waits.

        Raises:
            HostingError: the secret is not of that form.
        """
        key = _key(secret.get_secret_value()) if secret else None
        self._webhook = standardwebhooks.Webhook(key) if key else None
        self._table = table
        self._clock = clock
        self._waiting: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    async def take(self, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        """Record a callback and wake those who wait for its task; return the status to answer with.

        Raises:
            HostingError: the table cannot be written.
        """
        if not self._is_genuine(headers, body):
            logger.warning("A callback was not signed with the configured secret; it changes nothing.")
            return HTTPStatus.UNAUTHORIZED
        try:
            task_id = named_task(body)
        except ValueError:
            return HTTPStatus.BAD_REQUEST
        if task_id is not None:
            await asyncio.to_thread(self._table.add_callback, task_id, self._clock.now)
            event = self._waiting.pop(task_id, None)
            if event is not None:
                event.set()
        return HTTPStatus.OK

    async def wait(self, task_id: str, is_served_here: Callable[[], bool]) -> None:
        """Return when a callback names the task, counting from a second before this call.

        Returns after `DEBOUNCE_SECONDS` at the earliest, and never without a callback: give it a timeout.

        Args:
            task_id: the vendor's id.
            is_served_here: tells whether this process receives the callbacks; if not, the table is polled.
        """
        event = self._waiting.setdefault(task_id, asyncio.Event())
        since = self._clock.now() - OVERLAP
        await self._clock.sleep(DEBOUNCE_SECONDS)
        while not event.is_set():
            try:
                if await asyncio.to_thread(self._table.was_called_back, task_id, since):
                    return
            except HostingError as error:
                logger.debug("Callbacks cannot be read: %s", error.message)
            if is_served_here():
                await event.wait()
            else:
                await self._clock.sleep(TABLE_POLL_SECONDS)

    def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Check the signature (Standard Webhooks); without a secret, every callback passes."""
        if self._webhook is None:
            return True
        try:
            self._webhook.verify(body, dict(headers))
        except Exception:  # noqa: BLE001 - it raises ValueError and UnicodeDecodeError too: all mean no
            return False
        return True


def _key(secret: str) -> bytes:
    """Decode a secret strictly: the library drops stray characters, and its 1.0.0 accepts an empty key."""
    text = secret.strip().removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise HostingError(
            "KLING_ONCE_WEBHOOK_SECRET is not a webhook secret.",
            hint="Copy it from Kling's console: whsec_ and base64.",
        )
    return key


def named_task(body: bytes) -> str | None:
    """Return the id of the task that a callback is about, or None when it names none that can be one.

    The legacy body holds it as `task_id`, the new one as `id`.

    Raises:
        ValueError: the body is not a JSON object.
    """
    try:
        content = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a wrong JSON type is a wrong value here
    task_id = content.get("task_id", content.get("id"))
    return task_id if isinstance(task_id, str) and TASK_ID.fullmatch(task_id) else None
