"""Credentials, and the `Authorization` header they give."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import jwt

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ..clock import Clock

TOKEN_LIFETIME_SECONDS: Final = 1800
TOKEN_BACKDATE_SECONDS: Final = 5
"""Both from the vendor's sample; the second absorbs clock skew."""
RENEW_BEFORE_END_SECONDS: Final = 300


class Credential(Protocol):
    """Something that can authorize a request."""

    def bearer(self, *, fresh: bool = False) -> str:
        """Return the bearer token; `fresh` forces a newly signed one where tokens are signed."""
        ...

    @property
    def can_resign(self) -> bool:
        """Tell whether tokens are signed, so that `fresh` gives another one."""
        ...

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that identify this credential, by HMAC: without `key` they reveal nothing."""
        ...


def _fingerprint(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class ApiKey:
    """An API key, sent unchanged as the bearer token."""

    secret: str = field(repr=False)

    def bearer(self, *, fresh: bool = False) -> str:  # noqa: ARG002 - the protocol's, for keys that sign
        """Return the key."""
        return self.secret

    @property
    def can_resign(self) -> bool:
        """Return False: the token never changes."""
        return False

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that identify this key."""
        return _fingerprint(key, "api-key", self.secret)


@dataclass
class KeyPair:
    """An access key and a secret key that sign short-lived tokens (JWT, HS256)."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    clock: Clock = field(repr=False)
    _token: str = field(default="", init=False, repr=False)
    _renew_at: float = field(default=0.0, init=False, repr=False)

    def bearer(self, *, fresh: bool = False) -> str:
        """Return a token that is valid for at least five minutes more."""
        if fresh or not self._token or self.clock.monotonic() >= self._renew_at:
            now = int(self.clock.now().timestamp())
            claims = {
                "iss": self.access_key,
                "exp": now + TOKEN_LIFETIME_SECONDS,
                "nbf": now - TOKEN_BACKDATE_SECONDS,
            }
            self._token = jwt.encode(claims, self.secret_key, algorithm="HS256", headers={"typ": "JWT"})
            self._renew_at = self.clock.monotonic() + TOKEN_LIFETIME_SECONDS - RENEW_BEFORE_END_SECONDS
        return self._token

    @property
    def can_resign(self) -> bool:
        """Return True: a new token is signed with the current time."""
        return True

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that identify this pair."""
        return _fingerprint(key, "key-pair", self.access_key, self.secret_key)


def is_unsendable(secret: SecretStr | None) -> bool:
    """Tell whether a secret holds characters that an HTTP header cannot carry."""
    text = secret.get_secret_value().strip() if secret else ""
    return not text.isascii() or not text.isprintable() or " " in text
