"""Origins: where Kling's API answers, the parts of a URL, and the one way an address is written."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .errors import SettingsError

GLOBAL_ORIGIN: Final = "https://api-singapore.klingai.com"
CHINA_ORIGIN: Final = "https://api-beijing.klingai.com"
"""Source of both: Kling's API pages (March 2026)."""
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def url_parts(url: str) -> SplitResult:
    """Split a URL; what is no URL gives empty parts, which every check refuses."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def is_loopback(url: str) -> bool:
    """Tell whether the host of a URL is a name or address of this machine's loopback; nothing is resolved."""
    return (url_parts(url).hostname or "") in LOOPBACK_HOSTS


def clean_origin(url: str, setting: str) -> str:
    """Return the normalized `scheme://host[:port]` of a base URL; plain http is for loopback alone.

    Every spelling of an address gives the same origin, because the origin is part of the job key.

    Args:
        url: base URL.
        setting: name of the variable, for messages.

    Raises:
        SettingsError: not a URL of this form; the message never shows the URL, which may hold a password.
    """
    example = "Example: " + GLOBAL_ORIGIN
    parts = url_parts(url)
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in _DEFAULT_PORTS or not host or not _HOST_AND_PORT.fullmatch(parts.netloc):
        raise SettingsError(f"{setting} is not an http(s) address.", hint=example)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(f"{setting} must be a host without a path.", hint=example)
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise SettingsError(
            f"{setting} is plain http on another machine.",
            hint="Keys are sent over https only; http is for 127.0.0.1.",
        )
    port = "" if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
