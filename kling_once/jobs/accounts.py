"""Which origin and which credential an order, or an attempt that exists, belongs to."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..api.credentials import ApiKey, Credential, credential_of
from ..errors import CredentialsChanged, MissingCredentials, SettingsError, UnknownProfile
from ..profiles import origin_of, profile_of
from ..settings import clean_origin, url_parts
from .job import EMBEDDED_ORIGIN, SANDBOX_REALM, Sender, Service
from .notes import kept_note
from .tables import attempts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..clock import Clock
    from ..settings import Settings
    from .attempt import Attempt
    from .ledger import Ledger

KLING_DOMAIN = ".klingai.com"
UNKNOWN = ""
"""The fingerprint of an attempt that was found by its result alone."""
FINGERPRINT_KEY = re.compile(r"[0-9a-f]{64}")
"""Lies in the ledger, beside the fingerprints: they are lost together or not at all."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where and as whom requests are sent."""

    origin: str
    profile: str
    credential: Credential = field(repr=False)
    fingerprint: str

    @property
    def sender(self) -> Sender:
        """Return what the ledger keeps of it."""
        return Sender(self.profile, self.fingerprint)


class Accounts:
    """Resolve accounts; the sandbox never reads a Kling credential."""

    def __init__(self, settings: Settings, clock: Clock, ledger: Callable[[], Ledger]) -> None:
        self._settings = settings
        self._clock = clock
        self._ledger = ledger

    def origin(self, service: Service, profile: str) -> str:
        """Return where an order goes; needs no key for the empty profile.

        Raises:
            UnknownProfile, SettingsError: the profile or an address is wrong.
        """
        if service is Service.SANDBOX:
            url = self._settings.sandbox_url
            return _sandbox_origin(url) if url else EMBEDDED_ORIGIN
        return origin_of(self._settings, profile)

    def earlier_origin(self, profile: str) -> str | None:
        """Return where the newest task of a profile went, which may no longer be configured."""
        query = (
            sa.select(attempts.c.origin)
            .where(attempts.c.profile == profile, attempts.c.realm != SANDBOX_REALM)
            .order_by(attempts.c.attempt_id.desc())
            .limit(1)
        )
        with self._ledger().database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def account(self, service: Service, profile: str) -> Account:
        """Return the account of a new order.

        Raises:
            CredentialsError: no usable key; the message says where to put one.
        """
        if service is Service.SANDBOX:
            return self._sandbox(self.origin(service, profile), profile)
        named = profile_of(self._settings, profile)
        credential = credential_of(named, self._clock)
        return Account(named.origin, profile, credential, credential.fingerprint(self._fingerprint_key()))

    def account_of(self, attempt: Attempt) -> Account:
        """Return the account that an attempt was made with, and no other.

        Raises:
            CredentialsChanged: it is no longer configured; nothing was sent.
        """
        if attempt.realm == SANDBOX_REALM:
            return self._sandbox(attempt.origin, attempt.profile)
        named = f"profile {attempt.profile!r}" if attempt.profile else "the default profile"
        try:
            account = self.account(Service.KLING, attempt.profile)
        except (MissingCredentials, UnknownProfile) as error:
            raise CredentialsChanged(
                f"The key that this task was made with is gone from {named}: {error.message}",
                hint="Configure the same key again; nothing was sent.",
                task_id=attempt.task_id,
            ) from None
        if account.origin != attempt.origin or attempt.fingerprint not in {account.fingerprint, UNKNOWN}:
            what = "address" if account.origin != attempt.origin else "key"
            raise CredentialsChanged(
                f"The {what} of {named} has changed since this task was made at {attempt.origin}.",
                hint=f"Configure the same {what} again to go on with it; nothing was sent.",
                task_id=attempt.task_id,
            )
        return account

    def _sandbox(self, origin: str, profile: str) -> Account:
        from ..sandbox import DEFAULT_API_KEY  # noqa: PLC0415 - brings the sandbox's server

        chosen = self._settings.sandbox_api_key
        key = chosen.get_secret_value() if chosen and origin != EMBEDDED_ORIGIN else DEFAULT_API_KEY
        return Account(origin, profile, ApiKey(key), "sandbox")

    def _fingerprint_key(self) -> bytes:
        path = self._settings.home / "fingerprint_key"
        return bytes.fromhex(kept_note(self._ledger().database, "fingerprint_key", lambda: _first_key(path)))


def _sandbox_origin(url: str) -> str:
    origin = clean_origin(url, "KLING_ONCE_SANDBOX_URL")
    if f".{url_parts(origin).hostname}".endswith(KLING_DOMAIN):
        raise SettingsError(
            f"KLING_ONCE_SANDBOX_URL is {origin}, which is Kling itself.",
            hint="A sandbox's jobs are free and under no limit. For Kling set service to 'kling'.",
        )
    return origin


def _first_key(path: Path) -> str:
    """Return a new key, or the one that lies in a file of this home, as it once did."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        text = ""
    return text if FINGERPRINT_KEY.fullmatch(text) else secrets.token_hex(32)
