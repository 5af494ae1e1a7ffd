"""Which origin and which credential an order, or an attempt that exists, belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..api.credentials import ApiKey, Credential, KeyPair, is_unsendable
from ..errors import CredentialsChanged, MissingCredentials, SettingsError, UnknownProfile
from ..order import EMBEDDED_ORIGIN, SANDBOX_REALM, Sender, Service
from ..settings import clean_origin, url_parts
from .profiles import origin_of, profile_of

if TYPE_CHECKING:
    from ..clock import Clock
    from ..settings import Settings
    from .profiles import Profile

KLING_DOMAIN = ".klingai.com"
UNKNOWN = ""
"""The fingerprint of an attempt that was found by its result alone."""


class Sent(Protocol):
    """What an attempt tells of the account that it was made with."""

    @property
    def realm(self) -> str:
        """Where its task lives."""
        ...

    @property
    def origin(self) -> str:
        """Where it was sent."""
        ...

    @property
    def profile(self) -> str:
        """The name of the credentials."""
        ...

    @property
    def fingerprint(self) -> str:
        """The keyed fingerprint of the credential."""
        ...

    @property
    def task_id(self) -> str | None:
        """The vendor's name for the task, for messages."""
        ...


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

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def origin(self, service: Service, profile: str) -> str:
        """Return where an order goes; needs no key for the empty profile.

        Raises:
            UnknownProfile, SettingsError: the profile or an address is wrong.
        """
        if service is Service.SANDBOX:
            url = self._settings.sandbox_url
            return _sandbox_origin(url) if url else EMBEDDED_ORIGIN
        return origin_of(self._settings, profile)

    def account(self, service: Service, profile: str, fingerprint_key: bytes) -> Account:
        """Return the account of a new order; blocking.

        Args:
            service: where the order goes.
            profile: the name of the credentials; empty for the environment's.
            fingerprint_key: under which credentials are fingerprinted. It lies in the ledger, beside the
                fingerprints: they are lost together or not at all.

        Raises:
            CredentialsError: no usable key; the message says where to put one.
        """
        if service is Service.SANDBOX:
            return self._sandbox(self.origin(service, profile), profile)
        named = profile_of(self._settings, profile)
        credential = credential_of(named, self._clock)
        return Account(named.origin, profile, credential, credential.fingerprint(fingerprint_key))

    def account_of(self, attempt: Sent, fingerprint_key: bytes) -> Account:
        """Return the account that an attempt was made with, and no other; blocking.

        Raises:
            CredentialsChanged: it is no longer configured; nothing was sent.
        """
        if attempt.realm == SANDBOX_REALM:
            return self._sandbox(attempt.origin, attempt.profile)
        named = f"profile {attempt.profile!r}" if attempt.profile else "the default profile"
        try:
            account = self.account(Service.KLING, attempt.profile, fingerprint_key)
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


def _sandbox_origin(url: str) -> str:
    origin = clean_origin(url, "KLING_ONCE_SANDBOX_URL")
    if f".{url_parts(origin).hostname}".endswith(KLING_DOMAIN):
        raise SettingsError(
            f"KLING_ONCE_SANDBOX_URL is {origin}, which is Kling itself.",
            hint="A sandbox's jobs are free and under no limit. For Kling set service to 'kling'.",
        )
    return origin


def credential_of(profile: Profile, clock: Clock) -> Credential:
    """Return the profile's credential; an API key wins over a key pair.

    Raises:
        SettingsError: a key holds characters that no header can carry.
    """
    if any(is_unsendable(secret) for secret in (profile.api_key, profile.access_key, profile.secret_key)):
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
