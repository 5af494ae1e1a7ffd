"""What a request must pass before its handler runs: its origin, its form, and whether it may change keys.

Three attacks are meant. CSRF: a page of another site sends a request with the user's browser; its `Origin` or
`Sec-Fetch-Site` tells, and a cross-site form cannot send `application/json`. DNS rebinding: a page of a name
that its owner lets resolve to 127.0.0.1 has our own origin; the name tells. And a stranger who may reach the
server, but may not change its keys and limits: only a loopback peer with nothing in between may, or whoever
has a one-time code.
"""

from __future__ import annotations

import ipaddress
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from aiohttp import HttpVersion11
from pydantic import BaseModel, ValidationError

from ..accounts.keyring import ENVIRONMENT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

Model = TypeVar("Model", bound=BaseModel)

FORWARDED: Final = ("forwarded", "x-real-ip", "via")
FORWARDED_STARTS: Final = ("x-forwarded-", "cf-")
HOME_DOMAINS: Final = (".localhost", ".local")
SHOWN_FIELDS: Final = 10


class Refused(Exception):
    """A request that is answered with an error; the message is shown."""

    def __init__(self, status: HTTPStatus, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


def require_json(request: web.Request) -> None:
    """Pass a request whose body is JSON by its content type, which makes a browser ask before it sends it.

    Raises:
        Refused: it is of another type.
    """
    if request.content_type != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON.", "Send application/json.")


async def json_body(request: web.Request, max_bytes: int) -> dict[str, Any]:
    """Return a request's body.

    Raises:
        Refused: it is larger than `max_bytes`, or is no JSON object.
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    parts, size = [], 0
    async for part in request.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    try:
        value = json.loads(b"".join(parts), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    return value


def validated(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Return values as a model.

    Raises:
        Refused: a value is not of its kind; the message names fields, never a value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
    lines = [
        f"{'.'.join(str(part) for part in item['loc'])[:60] or 'request'}: {_in_words(item)[:120]}"
        for item in found
    ]
    raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(lines[:SHOWN_FIELDS]))


def _in_words(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a value; a regular expression tells people nothing."""
    if problem["type"] == "string_pattern_mismatch":
        return "It is not of the documented form."
    return problem["msg"].removeprefix("Value error, ")


def require_own_origin(request: web.Request, trusted: Iterable[str]) -> None:
    """Pass a request of a page of this server or of a trusted origin, or of a program that names no origin.

    Raises:
        Refused: another site's page sent it (CSRF), or a page whose name was made to resolve to this machine
            (DNS rebinding).
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
    """Tell whether a page on this very machine sent a POST, with no proxy in between."""
    return looks_local(request, trusted) and "Origin" in request.headers


def looks_local(request: web.Request, trusted: Iterable[str]) -> bool:
    """Tell the same of a GET, for which browsers send no `Origin`.

    A proxy that adds no header, such as nginx with nothing but `proxy_pass`, speaks HTTP/1.0, which no
    browser does. Where origins are trusted there is a proxy, so that nobody counts as local.
    """
    origin = request.headers.get("Origin")
    return (
        not any(trusted)
        and not _is_proxied(request)
        and _is_loopback(request.remote or "")
        and _is_loopback(_host_name(request))
        and (origin is None or _is_loopback(_hostname(origin)))
    )


def not_local() -> Refused:
    """Return the refusal of a change of keys, limits or memory from another machine."""
    return Refused(
        HTTPStatus.FORBIDDEN,
        "This may only be changed in a browser on the server itself, or with a one-time code.",
        f"Run 'kling-once keys allow' on the server for a code, or set {ENVIRONMENT_NAMES} there.",
    )


def wrong_code() -> Refused:
    """Return the refusal of a one-time code."""
    return Refused(
        HTTPStatus.FORBIDDEN,
        "The one-time code is wrong, used or older than 10 minutes.",
        "Run 'kling-once keys allow' on the server for a new one.",
    )


def _foreign() -> Refused:
    return Refused(
        HTTPStatus.FORBIDDEN,
        "The request comes from a page of another origin.",
        "Behind a proxy that rewrites Host, list the page's origin in KLING_ONCE_TRUSTED_ORIGINS.",
    )


def _too_large(max_bytes: int) -> Refused:
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have {max_bytes} bytes at most.")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _is_rebound(request: web.Request) -> bool:
    """Tell whether a browser on this machine resolved a name of somebody's domain to this machine.

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
