"""What Kling posts when a task changes: checked, and reduced to the id of the task."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import standardwebhooks

from ..errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

TASK_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
LARGEST_BODY_BYTES = 64 * 1024


class CallbackCheck:
    """Check signatures (Standard Webhooks) when a secret is configured."""

    def __init__(self, secret: SecretStr | None) -> None:
        """Take the secret, `whsec_...`.

        Raises:
            HostingError: it is not of that form.
        """
        key = _key(secret.get_secret_value()) if secret else None
        self._webhook = standardwebhooks.Webhook(key) if key else None

    def is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Tell whether a callback may be believed; without a secret every one may."""
        if self._webhook is None:
            return True
        try:
            self._webhook.verify(body, dict(headers))
        except Exception:  # noqa: BLE001 - it raises ValueError and UnicodeDecodeError too; none is a yes
            return False
        return True


def _key(secret: str) -> bytes:
    """Decode a secret strictly: the library drops stray characters, and its 1.0.0 takes an empty key."""
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
    """Return the task that a callback is about: `task_id` of the legacy body, `id` of the new one.

    Raises:
        ValueError: not a JSON object.
    """
    try:
        content = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the kind of a stranger's JSON is its value
    task_id = content.get("task_id", content.get("id"))
    return task_id if isinstance(task_id, str) and TASK_ID.fullmatch(task_id) else None
