"""The media host that a person has set up in the page, kept in `hosting.json`, mode 0600.

The file holds settings by their names. An address in the environment wins over all of it.
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import filelock
from pydantic import SecretStr

from ..errors import HostingError, SettingsError
from ..files import digest_of, write_file
from ..origins import clean_origin
from ..settings import HOST_FIELDS, LOCK_SECONDS, host_from_environment, saved_host_path
from .gateway import clean_public_url
from .media_host import HostedFile

if TYPE_CHECKING:
    from ..settings import Settings
    from .media_host import MediaHost

NAMES: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
KEY: Final = re.compile(r"[\x21-\x7e]{3,512}")
TRIAL_BYTES: Final = 64 * 1024
TRIAL_SECONDS: Final = 600
"""How long the link of a trial would live."""


@dataclass(frozen=True, slots=True)
class NewBucket:
    """A bucket of an S3-like store. An empty key keeps the one that is saved for the same endpoint."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """Its origin; empty for Amazon's own."""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NewTunnel:
    """A tunnel or reverse proxy that leads to the gateway."""

    public_url: str
    port: int


def with_host(settings: Settings, new: NewBucket | NewTunnel) -> Settings:
    """Return the settings with another media host, which is not saved.

    Raises:
        SettingsError: a value is malformed, or the environment names a host; no message shows a key.
        HostingError: the public address is malformed.
    """
    if variable := host_from_environment():
        raise SettingsError(
            f"{variable} is set in the server's environment, which wins over the file.",
            hint="Change it there.",
        )
    values = _of_bucket(settings, new) if isinstance(new, NewBucket) else _of_tunnel(new)
    return settings.model_copy(update=dict.fromkeys(set(HOST_FIELDS) - {"gateway_port"}) | values)


def save_host(settings: Settings) -> None:
    """Keep the media host of these settings; blocking.

    Raises:
        SettingsError: the file cannot be written.
    """
    values: dict[str, Any] = {}
    for name in HOST_FIELDS:
        value = getattr(settings, name)
        values[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    path = saved_host_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
            write_file(path, json.dumps(values, indent=1) + "\n", private=True)
    except (OSError, filelock.Timeout):
        raise SettingsError(f"{path} cannot be written.") from None


def forget_host(settings: Settings) -> Settings:
    """Delete what was saved and return the settings without it; blocking.

    Raises:
        SettingsError: the file cannot be deleted.
    """
    path = saved_host_path()
    try:
        path.unlink(missing_ok=True)
    except OSError:
        raise SettingsError(f"{path} cannot be written.") from None
    fresh = type(settings)()
    return settings.model_copy(update={name: getattr(fresh, name) for name in HOST_FIELDS})


async def try_host(host: MediaHost) -> None:
    """Put a small file there, fetch it as Kling would, and take it away again.

    Raises:
        HostingError: one of these failed; the message says which.
    """
    with tempfile.TemporaryDirectory(prefix="kling-once-") as folder:
        path = Path(folder) / "trial.mp4"
        path.write_bytes(secrets.token_bytes(TRIAL_BYTES))
        with path.open("rb") as stream:
            file = HostedFile(path, digest_of(stream), TRIAL_BYTES)
        location = await host.publish(file)
        try:
            await host.verify(await host.sign(location, TRIAL_SECONDS), file)
        finally:
            with suppress(HostingError):
                await host.withdraw(location)


def _of_bucket(settings: Settings, new: NewBucket) -> dict[str, Any]:
    names = "/".join(part for part in (new.bucket.strip(), new.prefix.strip(" /")) if part)
    if not new.bucket.strip() or "/" in new.bucket or not NAMES.fullmatch(names) or ".." in names:
        raise SettingsError("A bucket's name and prefix have letters, digits, and _ . - in them.")
    if new.region and not REGION.fullmatch(new.region):
        raise SettingsError("A region has small letters, digits and - in it, such as eu-central-1.")
    endpoint = clean_origin(new.endpoint.strip(), "The endpoint") if new.endpoint.strip() else None
    same = endpoint == settings.store_endpoint
    keys = {
        name: SecretStr(given.strip()) if given.strip() else getattr(settings, name) if same else None
        for name, given in (("store_access_key", new.access_key), ("store_secret_key", new.secret_key))
    }
    if any(key is None or not KEY.fullmatch(key.get_secret_value()) for key in keys.values()):
        raise SettingsError(
            "A bucket needs its access key and its secret key, without spaces.",
            hint="Copy them again from the store's console.",
        )
    return keys | {
        "store_url": f"s3://{names}",
        "store_endpoint": endpoint,
        "store_region": new.region or None,
    }


def _of_tunnel(new: NewTunnel) -> dict[str, Any]:
    return {"public_url": clean_public_url(new.public_url.strip()), "gateway_port": new.port}
