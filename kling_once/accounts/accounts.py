"""Accounts: the origin, profile and credential that an order or an existing attempt is sent with."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import jwt

from ..api.limits import Generation
from ..errors import CredentialsChanged, MissingCredentials, SettingsError, UnknownProfile
from ..order import EMBEDDED_ORIGIN, SANDBOX_REALM, Sender, Service
from ..origins import clean_origin, url_parts
from .profiles import origin_of, profile_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..api.client import Credential
    from ..clock import Clock
    from ..settings import Settings
    from .profiles import Profile

KLING_DOMAIN = ".klingai.com"
UNKNOWN = ""
"""Fingerprint of an attempt that is known from its kept result alone; it matches any credential."""

TOKEN_LIFETIME_SECONDS: Final = 1800
TOKEN_BACKDATE_SECONDS: Final = 5
"""Both from the vendor's sample; the second absorbs clock skew."""
RENEW_BEFORE_END_SECONDS: Final = 300


def _fingerprint(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class ApiKey:
    """An API key, sent unchanged as the bearer token."""

    secret: str = field(repr=False)
    can_resign: ClassVar[bool] = False

    def bearer(self, *, fresh: bool = False) -> str:  # noqa: ARG002 - the protocol's, for keys that sign
        """Return the key."""
        return self.secret

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that identify this key."""
        return _fingerprint(key, "api-key", self.secret)


@dataclass
class KeyPair:
    """An access key and a secret key that sign short-lived tokens (JWT, HS256)."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    clock: Clock = field(repr=False)
    can_resign: ClassVar[bool] = True
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

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that identify this pair."""
        return _fingerprint(key, "key-pair", self.access_key, self.secret_key)


class _Sent(Protocol):
    """What an attempt stores of the account that it was sent with."""

    @property
    def realm(self) -> str: ...

    @property
    def origin(self) -> str: ...

    @property
    def profile(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def generation(self) -> str: ...

    @property
    def task_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Account:
    """Where requests are sent and with which credential."""

    origin: str
    profile: str
    credential: Credential = field(repr=False)
    fingerprint: str
    generation: str

    @property
    def sender(self) -> Sender:
        """The part of it that the ledger stores."""
        return Sender(self.profile, self.fingerprint, self.generation)


class Accounts:
    """Resolve accounts; for the sandbox no Kling credential is read.

    Args:
        settings: addresses, keys and the credentials file.
        clock: dates signed tokens.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def credentials_file(self) -> Path:
        """Return where the named profiles lie."""
        return self._settings.credentials_file

    def origin(self, service: Service, profile: str) -> str:
        """Return the origin that an order is sent to; the empty profile needs no key for it.

        Raises:
            UnknownProfile: there is no such profile.
            SettingsError: an address or the credentials file is wrong.
        """
        if service is Service.SANDBOX:
            url = self._settings.sandbox_url
            return _sandbox_origin(url) if url else EMBEDDED_ORIGIN
        return origin_of(self._settings, profile)

    def generation(self, service: Service, profile: str) -> str:
        """Return which of the vendor's two APIs a new order is sent to; it needs no key. Blocking.

        Raises:
            UnknownProfile: there is no such profile.
            SettingsError: the credentials file is wrong.
        """
        if service is Service.KLING:
            with contextlib.suppress(MissingCredentials):
                return profile_of(self._settings, profile).generation
        return self._settings.klingai_api_generation

    def account(self, service: Service, profile: str, fingerprint_key: bytes) -> Account:
        """Return the account of a new order; blocking.

        Args:
            service: where the order goes.
            profile: the name of the credentials; empty for the environment's.
            fingerprint_key: under which credentials are fingerprinted. It lies in the ledger, beside the
                fingerprints: they are lost together or not at all.

        Raises:
            CredentialsError: there is no usable key; the message says where to put one.
        """
        if service is Service.SANDBOX:
            return self._sandbox(self.origin(service, profile), profile)
        named = profile_of(self._settings, profile)
        credential = credential_of(named, self._clock)
        fingerprint = credential.fingerprint(fingerprint_key)
        account = Account(named.origin, profile, credential, fingerprint, named.generation)
        return _speaking(account, named.generation)

    def account_of(self, attempt: _Sent, fingerprint_key: bytes) -> Account:
        """Return the account that an attempt was made with, and no other; blocking.

        Raises:
            CredentialsChanged: it is not configured; nothing was sent.
        """
        if attempt.realm == SANDBOX_REALM:
            return self._sandbox(attempt.origin, attempt.profile, attempt.generation)
        named = f"profile {attempt.profile!r}" if attempt.profile else "the default profile"
        try:
            account = self.account(Service.KLING, attempt.profile, fingerprint_key)
        except (MissingCredentials, UnknownProfile) as error:
            raise CredentialsChanged(
                f"The key that this task was made with is gone from {named}: {error.message}",
                hint="Configure the same key again to go on with it.",
                task_id=attempt.task_id,
            ) from None
        if account.origin != attempt.origin or attempt.fingerprint not in {account.fingerprint, UNKNOWN}:
            what = "address" if account.origin != attempt.origin else "key"
            raise CredentialsChanged(
                f"The {what} of {named} has changed since this task was made at {attempt.origin}.",
                hint=f"Configure the same {what} again to go on with it.",
                task_id=attempt.task_id,
            )
        return _speaking(account, attempt.generation)

    def _sandbox(self, origin: str, profile: str, generation: str = "") -> Account:
        from ..sandbox import DEFAULT_API_KEY  # noqa: PLC0415 - imports the sandbox's server

        chosen = self._settings.sandbox_api_key
        key = chosen.get_secret_value() if chosen and origin != EMBEDDED_ORIGIN else DEFAULT_API_KEY
        spoken = generation or self._settings.klingai_api_generation
        return Account(origin, profile, ApiKey(key), "sandbox", spoken)


def _speaking(account: Account, generation: str) -> Account:
    """Return an account as it speaks one of the vendor's two APIs.

    Raises:
        SettingsError: the newer one takes API keys alone (401, 1002 for an access key).
    """
    if generation == Generation.STANDARD and account.credential.can_resign:
        where = f"profile {account.profile!r}" if account.profile else "the default profile"
        raise SettingsError(
            f"The API generation 'standard' takes an API key; {where} has an access key and a secret key.",
            hint="Make an API key in Kling's console, or set the generation to 'legacy'. Nothing was sent.",
        )
    return replace(account, generation=generation)


def _sandbox_origin(url: str) -> str:
    origin = clean_origin(url, "KLING_ONCE_SANDBOX_URL")
    if f".{url_parts(origin).hostname}".endswith(KLING_DOMAIN):
        raise SettingsError(
            f"KLING_ONCE_SANDBOX_URL is {origin}, which is Kling itself.",
            hint="A sandbox's jobs are free and under no limit. For Kling set service to 'kling'.",
        )
    return origin


def credential_of(profile: Profile, clock: Clock) -> Credential:
    """Return a profile's credential; an API key takes precedence over a key pair.

    Raises:
        SettingsError: a key holds characters that an HTTP header cannot carry.
    """
    secrets = (profile.api_key, profile.access_key, profile.secret_key)
    texts = [secret.get_secret_value().strip() for secret in secrets if secret]
    if any(not text.isascii() or not text.isprintable() or " " in text for text in texts):
        raise SettingsError(
            f"A key of profile {profile.name!r} holds a space, a line break or a character outside ASCII.",
            hint="Copy it again from Kling's console.",
        )
    if profile.api_key:
        return ApiKey(profile.api_key.get_secret_value().strip())
    if profile.access_key and profile.secret_key:
        return KeyPair(
            profile.access_key.get_secret_value().strip(),
            profile.secret_key.get_secret_value().strip(),
            clock,
        )
    raise SettingsError(f"Profile {profile.name!r} holds no complete key.")
