"""The keyring: state, storage and removal of keys in `credentials.json`, which its owner alone may read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import filelock

from ..api.limits import Generation
from ..errors import CredentialsError, KeyExists, KlingOnceError, MissingCredentials, SettingsError
from ..files import write_file
from ..origins import CHINA_ORIGIN, GLOBAL_ORIGIN
from .profiles import ENVIRONMENT_NAMES, REGIONS, profile_of, read_profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..settings import Settings

LOCK_SECONDS: Final = 10
PROFILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}|")
PROFILE_NAME_FORM: Final = "A profile's name has 1 to 40 letters, digits, spaces, and _ . - in it."
SECRET: Final = re.compile(r"[\x21-\x7e]{8,512}")
ADDRESS: Final = ("region", "base_url")
"""Fields of a profile's address. It outlives its key: tasks that were paid there exist only there."""
GENERATION: Final = ("api",)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored: an API key, or an access key and its secret key."""

    region: str = ""
    """`global` or `china`; empty keeps the address of the profile that is replaced."""
    api: str = ""
    """Which of the vendor's two APIs gets new tasks; empty keeps that of the profile that is replaced."""
    api_key: str = field(default="", repr=False)
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class KeyState:
    """What may be shown about a profile's key; never the key itself."""

    profile: str
    source: Literal["environment", "file", "missing"]
    region: str = ""
    """`global`, `china`, or `other` for a custom address; empty without a usable key."""
    address: str = ""
    """The origin; empty without a usable key."""
    api: str = ""
    """Which of the vendor's two APIs gets new tasks; empty without a usable key."""
    problem: str = ""
    """Why the key cannot be used; empty where it can."""


def key_states(settings: Settings) -> list[KeyState]:
    """Return the state of the default profile and of every named one; blocking."""
    try:
        names = sorted(name for name in read_profiles(settings.credentials_file) if name)
    except SettingsError as error:
        return [KeyState("", "missing", problem=error.message)]
    return [_state(settings, name) for name in ("", *names)]


def save_key(settings: Settings, name: str, key: NewKey, *, replace: bool) -> KeyState:
    """Store a profile's key; blocking.

    Raises:
        SettingsError: the name, the region or a key is malformed, or the file cannot be written; no
            message shows a key.
        KeyExists: the profile has a key, and `replace` is false.
        CredentialsError: the environment's key would take precedence over this one.
    """
    fields = _fields(name, key)
    if not name and _state(settings, "").source == "environment":
        raise CredentialsError(
            "The server's environment sets the key of the default profile, and wins over a stored one.",
            hint="Give this key a profile name, or remove the variable on the server.",
        )

    def put(profiles: dict[str, Mapping[str, Any]]) -> None:
        if name in profiles and not replace:
            raise KeyExists(f"Profile {name!r} has a key already.", hint="Say that it may be replaced.")
        kept = (() if key.region else ADDRESS) + (() if key.api else GENERATION)
        old = profiles.get(name, {})
        profiles[name] = {of: old[of] for of in kept if of in old} | fields

    _change(settings.credentials_file, put)
    return _state(settings, name)


def forget_key(settings: Settings, name: str) -> None:
    """Remove a profile from the file; blocking.

    Raises:
        MissingCredentials: the file has no such profile.
        SettingsError: the file cannot be written.
    """

    def drop(profiles: dict[str, Mapping[str, Any]]) -> None:
        if profiles.pop(name, None) is None:
            raise MissingCredentials(
                f"The file holds no key for profile {name[:40]!r}.",
                hint=f"A key from the environment ({ENVIRONMENT_NAMES}) is removed there.",
            )

    _change(settings.credentials_file, drop)


def _state(settings: Settings, name: str) -> KeyState:
    try:
        profile = profile_of(settings, name)
    except MissingCredentials as error:
        return KeyState(name, "missing", problem=error.message)
    except KlingOnceError as error:
        return KeyState(name, "file", problem=error.message)
    region = {GLOBAL_ORIGIN: "global", CHINA_ORIGIN: "china"}.get(profile.origin, "other")
    return KeyState(name, profile.source, region, profile.origin, profile.generation)


def _fields(name: str, key: NewKey) -> dict[str, Any]:
    if not PROFILE_NAME.fullmatch(name):
        raise SettingsError(PROFILE_NAME_FORM)
    if key.region and key.region not in REGIONS:
        raise SettingsError("There are two regions: global, china.")
    if key.api and key.api not in set(Generation):
        raise SettingsError(f"Kling has two APIs: {', '.join(Generation)}.")
    pair = key.access_key.strip(), key.secret_key.strip()
    given = {"api_key": key.api_key.strip(), "access_key": pair[0], "secret_key": pair[1]}
    if bool(given["api_key"]) == any(pair) or any(pair) != all(pair):
        raise SettingsError("Give an API key, or an access key and its secret key.")
    if any(text and not SECRET.fullmatch(text) for text in given.values()):
        raise SettingsError(
            "That is no key: 8 to 512 letters, digits and signs without a space.",
            hint="Copy it again from Kling's console.",
        )
    return {field: text for field, text in (given | {"region": key.region, "api": key.api}).items() if text}


def _change(path: Path, change: Callable[[dict[str, Mapping[str, Any]]], None]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
            profiles = read_profiles(path)
            change(profiles)
            write_file(path, json.dumps({"profiles": profiles}, indent=1, default=dict) + "\n", private=True)
    except (OSError, filelock.Timeout) as error:
        if isinstance(error, KlingOnceError):
            raise
        reason = getattr(error, "strerror", None) or "another process holds its lock"
        raise SettingsError(f"{path} cannot be written: {reason}.") from None
