"""The gateway's secret, and the paths, proofs and addresses that are made from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import standardwebhooks

from ..errors import HostingError
from ..files import kept_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr


FILE_PATH = re.compile(r"/ko/([A-Za-z0-9_-]{92})\.mp4")
CALLBACK_PATH = re.compile(r"/ko/callback/([0-9a-f]{64})")
PROOF_PATH = re.compile(r"/ko/gateway/([0-9a-f]{32})")
SECRET = re.compile(r"[0-9a-f]{64}")
TOKEN = struct.Struct(">BI32s")
"""Version, expiry in Unix seconds (until 2106), digest; then 32 bytes of HMAC-SHA256."""
TOKEN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """What a genuine path allows: one file, until a moment."""

    digest: str
    expires_at: int


class SignedPaths:
    """Make and read what only the holder of the secret can make.

    Every use has a key of its own, so nothing that one of them gives away helps with another.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of_folder(cls, folder: Path) -> SignedPaths:
        """Use the secret in `folder`, which the first process makes.

        Raises:
            HostingError: it cannot be read or made.
        """
        value = kept_value(folder / "secret", lambda: secrets.token_hex(32), SECRET)
        return cls(bytes.fromhex(value))

    def __repr__(self) -> str:
        return "SignedPaths(secret=***)"

    def file_path(self, grant: Grant) -> str:
        """Return the path that serves one file until the grant's end."""
        body = TOKEN.pack(TOKEN_VERSION, grant.expires_at, bytes.fromhex(grant.digest))
        token = base64.urlsafe_b64encode(body + self._mac("file", body)).decode()
        return f"/ko/{token}.mp4"

    def read(self, path: str) -> Grant | None:
        """Return what a path grants, expired or not; None for one that was not made here."""
        match = FILE_PATH.fullmatch(path)
        if not match:
            return None
        raw = base64.urlsafe_b64decode(match[1])  # 92 characters of its alphabet: it cannot fail
        body, mac = raw[: TOKEN.size], raw[TOKEN.size :]
        if not hmac.compare_digest(mac, self._mac("file", body)):
            return None
        version, expires_at, digest = TOKEN.unpack(body)
        return Grant(digest.hex(), expires_at) if version == TOKEN_VERSION else None

    def callback_path(self) -> str:
        """Return the one path at which callbacks are taken."""
        return f"/ko/callback/{self._mac('callback', b'').hex()}"

    def is_callback(self, path: str) -> bool:
        """Tell in constant time whether a path is the callbacks' own."""
        return hmac.compare_digest(path.encode(errors="surrogateescape"), self.callback_path().encode())

    def proof(self, nonce: str, port: int) -> str:
        """Return what only a gateway of this home, listening on this very port, can answer to a nonce."""
        return self._mac("proof", f"{port}:{nonce}".encode()).hex()

    def _mac(self, use: str, message: bytes) -> bytes:
        key = hmac.digest(self._secret, b"kling-once gateway " + use.encode(), hashlib.sha256)
        return hmac.digest(key, message, hashlib.sha256)


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
