"""A URL of the user's own: passed on, never fetched by us."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from ..errors import Violation
from ..settings import is_loopback, url_parts

URL_MAX_CHARACTERS: Final = 4096
SIGNING_PARAMETERS: Final = frozenset(
    {"x-amz-signature", "signature", "sig", "x-goog-signature", "token", "x-oss-signature", "policy"}
)


def url_violations(url: str, *, loopback_allowed: bool) -> tuple[Violation, ...]:
    """Return what is wrong with the form of a reference video's URL."""
    parts = url_parts(url)
    if len(url) > URL_MAX_CHARACTERS or not is_written_out(url):
        message = (
            f"Reference video's URL has {len(url)} characters, or blanks; it may have"
            f" {URL_MAX_CHARACTERS} and none."
        )
        return (Violation("video", "video.url.form", message),)
    if parts.scheme == "http" and loopback_allowed and is_loopback(url):
        return ()
    if parts.scheme != "https" or not parts.hostname:
        message = "Reference video's URL must begin with https:// and name a host that Kling can reach."
        return (Violation("video", "video.url.scheme", message),)
    return ()


def is_written_out(url: str) -> bool:
    """Tell whether a URL holds no blank and no invisible character."""
    return url.isprintable() and " " not in url


def looks_signed(url: str) -> bool:
    """Tell whether a URL seems to carry a secret, which would then lie in every saved workflow."""
    parts = url_parts(url)
    names = {name.casefold() for name, _ in parse_qsl(parts.query)}
    return bool(names & SIGNING_PARAMETERS or parts.password)
