"""Who asks: pages of this server only; keys, limits and forgetting from this machine only."""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import HttpVersion11

from ..kling_once.jobs.keyring import ENVIRONMENT_NAMES
from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

FORWARDED = ("forwarded", "x-real-ip", "via")
HOME_DOMAINS = (".localhost", ".local")
FORWARDED_STARTS = ("x-forwarded-", "cf-")


def require_own_origin(request: web.Request, trusted: Iterable[str]) -> None:
    """Pass a request of a page of this server, or of a program that names no page.

    Raises:
        Refused: another site's page sent it, or a page of a name that was made to lead here.
    """
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise _foreign()
    known = {item.rstrip("/").lower() for item in trusted}
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() in known:
        return
    if origin is not None and _netloc(origin) != request.host.lower():
        raise _foreign()
    if _is_rebound(request) and _host_name(request) not in map(_hostname, known):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            f"ComfyUI was opened as {_host_name(request)[:100]!r}, which anybody may have made lead here.",
            "Open ComfyUI at localhost or 127.0.0.1, or list the page's origin in"
            " KLING_ONCE_TRUSTED_ORIGINS.",
        )


def is_local(request: web.Request, trusted: Iterable[str]) -> bool:
    """Tell whether a page on this very machine sent a request, with nothing in between."""
    return looks_local(request, trusted) and "Origin" in request.headers


def looks_local(request: web.Request, trusted: Iterable[str]) -> bool:
    """Tell the same of a request that only looks: pages name no origin for those.

    A proxy that hides itself, as nginx does with nothing but `proxy_pass`, speaks HTTP/1.0, which no
    browser does. Where origins are trusted there is a proxy, and nobody who comes here may be told from it.
    """
    origin = request.headers.get("Origin")
    return (
        not any(trusted)
        and not _is_proxied(request)
        and _is_loopback(request.remote or "")
        and _is_loopback(_host_name(request))
        and (origin is None or _is_loopback(_hostname(origin)))
    )


def _is_rebound(request: web.Request) -> bool:
    """Tell whether a browser on this machine was led here under a name of somebody else's domain.

    A name without a dot, or of a home network, is in nobody's domain.
    """
    name = _host_name(request)
    return (
        _is_loopback(request.remote or "")
        and not _is_proxied(request)
        and "." in name
        and not name.endswith(HOME_DOMAINS)
        and not _is_address(name)
    )


def _is_proxied(request: web.Request) -> bool:
    return request.version < HttpVersion11 or any(_is_forwarding(name.lower()) for name in request.headers)


def not_local() -> Refused:
    """Return why a change of keys, limits or memory is refused."""
    return Refused(
        HTTPStatus.FORBIDDEN,
        "This may only be changed in a browser on the server itself, or with a one-time code.",
        f"Run 'kling-once keys allow' on the server for a code, or set {ENVIRONMENT_NAMES} there.",
    )


def _foreign() -> Refused:
    return Refused(
        HTTPStatus.FORBIDDEN,
        "The request comes from a page of another origin.",
        "Behind a proxy that rewrites Host, list the page's origin in KLING_ONCE_TRUSTED_ORIGINS.",
    )


def _is_forwarding(name: str) -> bool:
    return name in FORWARDED or name.startswith(FORWARDED_STARTS)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_name(request: web.Request) -> str:
    return _hostname(f"http://{request.host}")


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
