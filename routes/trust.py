"""Who asks: pages of this server only; keys, limits and forgetting from this machine only."""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..kling_direct.jobs.keyring import ENVIRONMENT_NAMES
from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

FORWARDED = ("forwarded", "x-real-ip", "via")
FORWARDED_STARTS = ("x-forwarded-", "cf-")


def require_own_origin(request: web.Request, trusted: Iterable[str]) -> None:
    """Pass a request of a page of this server, or of a program that names no page.

    Raises:
        Refused: another site's page sent it.
    """
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise _foreign()
    origin = request.headers.get("Origin")
    if origin is None or origin.lower() in {item.rstrip("/").lower() for item in trusted}:
        return
    if _netloc(origin) != request.host.lower():
        raise _foreign()


def is_local(request: web.Request) -> bool:
    """Tell whether a page on this very machine sent a request, with nothing in between."""
    return looks_local(request) and "Origin" in request.headers


def looks_local(request: web.Request) -> bool:
    """Tell the same of a request that only looks: pages name no origin for those."""
    if any(_is_forwarding(name.lower()) for name in request.headers):
        return False
    origin = request.headers.get("Origin")
    return (
        _is_loopback(request.remote or "")
        and _is_loopback(_hostname(f"http://{request.host}"))
        and (origin is None or _is_loopback(_hostname(origin)))
    )


def not_local() -> Refused:
    """Return why a change of keys, limits or memory is refused."""
    return Refused(
        HTTPStatus.FORBIDDEN,
        "This may only be changed in a browser on the server itself, or with a one-time code.",
        f"Run 'kling-direct keys allow' on the server for a code, or set {ENVIRONMENT_NAMES} there.",
    )


def _foreign() -> Refused:
    return Refused(
        HTTPStatus.FORBIDDEN,
        "The request comes from a page of another origin.",
        "Behind a proxy that rewrites Host, list the page's origin in KLING_DIRECT_TRUSTED_ORIGINS.",
    )


def _is_forwarding(name: str) -> bool:
    return name in FORWARDED or name.startswith(FORWARDED_STARTS)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
