"""Profiles: origin and secrets, from the environment or from `credentials.json`, which is read here alone.

::

    {"profiles": {"studio": {"api_key": "...", "api": "standard"},
                  "china":  {"access_key": "...", "secret_key": "...", "region": "china"}}}
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import SecretStr

from ..api.limits import Generation
from ..errors import MissingCredentials, SettingsError, UnknownProfile
from ..origins import CHINA_ORIGIN, GLOBAL_ORIGIN, clean_origin

if TYPE_CHECKING:
    from pathlib import Path

    from ..settings import Settings

REGIONS: Final = {"global": GLOBAL_ORIGIN, "china": CHINA_ORIGIN}
SECRET_FIELDS: Final = ("api_key", "access_key", "secret_key")
LEAST_SECRET_CHARACTERS: Final = 8
"""A shorter one is none, and would be found everywhere."""
ENVIRONMENT_NAMES: Final = "KLINGAI_API_KEY (or KLINGAI_ACCESS_KEY and KLINGAI_SECRET_KEY)"


@dataclass(frozen=True, slots=True)
class Profile:
    """Where to send requests and with which secrets; their repr is masked."""

    name: str
    origin: str
    source: Literal["environment", "file"]
    api_key: SecretStr | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    generation: str = Generation.LEGACY.value
    """Which of the vendor's two APIs new tasks are sent to."""


def origin_of(settings: Settings, name: str) -> str:
    """Return the origin of a profile, which needs no key; blocking.

    Raises:
        UnknownProfile: the file has no such name.
        SettingsError: an address or the file cannot be used.
    """
    try:
        return _configured(settings, name).origin
    except MissingCredentials:
        return _environment_origin(settings)


def profile_of(settings: Settings, name: str) -> Profile:
    """Return a profile; blocking.

    The empty name means the environment's key, else the file's profile with the empty name. A named profile
    never falls back to another.

    Raises:
        UnknownProfile: the file has no such name; the message lists those it has.
        MissingCredentials: no key is configured for the empty name, or half a key pair.
        SettingsError: the file cannot be read, or others may read it.
    """
    profile = _configured(settings, name)
    if profile.api_key is None and (profile.access_key is None or profile.secret_key is None):
        missing = "secret key" if profile.access_key else "access key" if profile.secret_key else "key"
        where = "the environment" if profile.source == "environment" else f"profile {profile.name!r}"
        raise MissingCredentials(
            f"The {missing} is missing in {where}.",
            hint="Give an API key, or an access key and its secret key.",
        )
    return profile


def read_profiles(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the profiles of a credentials file, by name; an absent file has none. Blocking.

    Raises:
        SettingsError: other users may read the file, or it is not of the documented form.
    """
    try:
        mode = path.stat().st_mode
        profiles = _profiles_in(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(
            f"{path} may be read by other users (mode {stat.S_IMODE(mode):04o}).",
            hint=f"Run: chmod 600 {path}",
        )
    if profiles is None:
        raise SettingsError(
            f"{path} is not of the documented form.",
            hint='It looks like {"profiles": {"studio": {"api_key": "..."}}}.',
        )
    return profiles


def known_secrets(settings: Settings) -> frozenset[str]:
    """Return every key and secret that this server has, so that none of them gets into a file; blocking."""
    found = {
        value.get_secret_value()
        for name in type(settings).model_fields
        if isinstance(value := getattr(settings, name), SecretStr)
    }
    with contextlib.suppress(SettingsError):
        for fields in read_profiles(settings.credentials_file).values():
            found |= {str(fields[name]) for name in SECRET_FIELDS if fields.get(name)}
    return frozenset(secret for secret in found if len(secret) >= LEAST_SECRET_CHARACTERS)


class _Fields(Mapping[str, Any]):
    """A profile's fields with a masked repr: crash reporters print local variables, dicts included."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<{', '.join(map(str, self))}>"


def _profiles_in(path: Path) -> dict[str, Mapping[str, Any]] | None:
    content = path.read_bytes()
    try:
        profiles = json.loads(content.decode("utf-8-sig"))["profiles"]
        return {str(name): _Fields(fields) for name, fields in profiles.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _configured(settings: Settings, name: str) -> Profile:
    """Return a profile as it is configured, even with half a key pair or none."""
    keys = (settings.klingai_api_key, settings.klingai_access_key, settings.klingai_secret_key)
    if not name and any(keys):
        generation = settings.klingai_api_generation
        return Profile("", _environment_origin(settings), "environment", *keys, generation)
    profiles = read_profiles(settings.credentials_file)
    if name in profiles:
        default_origin = GLOBAL_ORIGIN if name else _environment_origin(settings)
        return _file_profile(name, profiles[name], default_origin, settings.klingai_api_generation)
    if name:
        known = ", ".join(repr(known) for known in sorted(profiles) if known) or "none"
        raise UnknownProfile(
            f"Profile {name!r} is not in {settings.credentials_file}; it has: {known}.",
            hint="Correct the name or add the profile on the server.",
        )
    raise MissingCredentials(
        "No Kling key is configured.",
        hint=f"Set {ENVIRONMENT_NAMES} where this program runs,"
        f" or add a profile to {settings.credentials_file}. The sandbox needs no key.",
    )


def _environment_origin(settings: Settings) -> str:
    return clean_origin(settings.klingai_base_url or GLOBAL_ORIGIN, "KLINGAI_BASE_URL")


def _file_profile(
    name: str, fields: Mapping[str, Any], default_origin: str, default_generation: str
) -> Profile:
    region = str(fields.get("region", "global"))
    if region not in REGIONS:
        raise SettingsError(f"Profile {name!r} has a region that is not known; there are: global, china.")
    origin = fields.get("base_url") or (REGIONS[region] if "region" in fields else default_origin)
    generation = str(fields.get("api", default_generation))
    if generation not in set(Generation):
        raise SettingsError(
            f"Profile {name!r} has an api that is not known; there are: {', '.join(Generation)}."
        )
    secrets = {
        key: SecretStr(str(fields[key])) if str(fields.get(key) or "").strip() else None
        for key in SECRET_FIELDS
    }
    return Profile(
        name,
        clean_origin(str(origin), f"base_url of profile {name!r}"),
        "file",
        **secrets,
        generation=generation,
    )
