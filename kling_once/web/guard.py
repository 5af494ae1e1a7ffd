"""What every request passes before its handler sees it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from aiohttp import HttpVersion11
from pydantic import BaseModel, ValidationError

from ..accounts.keyring import ENVIRONMENT_NAMES
from ..errors import KlingOnceError, SubmissionsHeld
from .refusals import (
    Refused,
    error_answer,
    invalid,
    refused_answer,
)
from .requests import JobPath, model_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from ..jobs.engine import Engine
    from .app import Place
    from .endpoints import Endpoint

    Handler = Callable[["Asked"], Awaitable[web.StreamResponse]]
    from collections.abc import Iterable


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that passed, with its values."""

    request: web.Request
    place: Place
    engine: Engine
    values: Any
    """The endpoint's query or body."""
    job_key: str

    @property
    def looks_local(self) -> bool:
        """Tell whether this page may change keys and limits without a code."""
        return looks_local(self.request, self.engine.settings.trusted_origins)

    def require_service(self, service: str) -> None:
        """Pass unless the operator has switched a service off.

        Raises:
            SubmissionsHeld: they have.
        """
        if text := self.place.off_text(service):
            raise SubmissionsHeld(text, hint="What is kept already is still shown and handed over.")


def guarded(endpoint: Endpoint, handler: Handler, place: Place) -> Callable[[web.Request], Awaitable[Any]]:
    """Return an aiohttp handler that checks a request, and answers every error with JSON."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await _handle(request)
        except Refused as refused:
            return refused_answer(refused)
        except KlingOnceError as error:
            return error_answer(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("A request to %s failed.", endpoint.path)
            text = "Kling Once made a mistake; the server's log says more."
            return refused_answer(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, text))

    async def _handle(request: web.Request) -> web.StreamResponse:
        if endpoint.method == "POST":
            _require_json(request)
        engine = await asyncio.to_thread(place.engine)
        require_own_origin(request, engine.settings.trusted_origins)
        job_key = _checked(JobPath, dict(request.match_info)).job_key if endpoint.is_of_a_job else ""
        if endpoint.body:
            given = await _json_body(request, endpoint.body_max_bytes)
        else:
            given = dict(request.query)
        values = _checked(model_of(endpoint.body or endpoint.query), given)
        if endpoint.is_trusted and not is_local(request, engine.settings.trusted_origins):
            await _require_code(engine, values)
        return await handler(Asked(request, place, engine, values, job_key))

    return handle


async def _require_code(engine: Engine, values: Any) -> None:
    if not values.code:
        raise not_local()
    if not await (await engine.ledger()).redeem(values.code):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "The one-time code is wrong, used or older than 10 minutes.",
            "Run 'kling-once keys allow' on the server for a new one.",
        )


def _require_json(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON.", "Send application/json.")


async def _json_body(request: web.Request, most: int) -> dict[str, Any]:
    if (request.content_length or 0) > most:
        raise _too_large(most)
    parts, size = [], 0
    async for part in request.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    try:
        value = json.loads(b"".join(parts), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _too_large(most: int) -> Refused:
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have {most} bytes at most.")


def _checked(model: type[BaseModel], values: dict[str, Any]) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error) from None


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
