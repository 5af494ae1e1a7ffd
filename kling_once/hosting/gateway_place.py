"""Where the gateway lives: its folder under the home, and the public address that leads to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import HostingError
from ..settings import is_loopback, url_parts

if TYPE_CHECKING:
    from pathlib import Path


def private_folder(home: Path) -> Path:
    """Return `<home>/gateway`, made with its `files` folder, open to the user alone.

    Raises:
        HostingError: it cannot be made.
    """
    folder = home / "gateway"
    try:
        (folder / "files").mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.name == "posix":
            folder.chmod(0o700)
    except OSError as error:
        raise HostingError(f"{folder} cannot be used: {error.strerror}.") from None
    return folder


def clean_public_url(url: str | None) -> str:
    """Return `scheme://host[:port][/path]` of the tunnel or proxy; plain http is for loopback alone.

    Raises:
        HostingError: none is set, or it is not of this form.
    """
    if not url:
        raise HostingError(
            "The gateway has no public address.",
            hint="Set KLING_ONCE_PUBLIC_URL to the https address of your tunnel or reverse proxy.",
        )
    parts = url_parts(url)
    if (
        not parts.hostname
        or parts.port == 0
        or parts.query
        or parts.fragment
        or parts.username
        or parts.password
    ):
        raise HostingError(
            "KLING_ONCE_PUBLIC_URL is not an address.", hint="Example: https://clips.example.com"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
        raise HostingError(
            f"KLING_ONCE_PUBLIC_URL must begin with https:// ({parts.hostname} is not this machine).",
            hint="Tunnels and reverse proxies give an https address.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
