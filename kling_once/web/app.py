"""Answer a request: find its endpoint, let the guard check it, run the handler, write JSON or a file."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from .. import errors
from . import (
    PREFIX,
    account,
    elements,
    hosting,
    jobs,
    money,
    node,
)
from .answers import Failure, failure_of
from .endpoint import (
    Call,
    Endpoint,
    FileAnswer,
    Who,
    endpoints_of,
)
from .guard import (
    Refused,
    is_local,
    json_body,
    looks_local,
    not_local,
    require_json,
    require_own_origin,
    validated,
    wrong_code,
)
from .neighbors import Neighbors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from ..jobs.engine import Engine
    from . import Host

logger = logging.getLogger(__name__)

ENDPOINTS: Final = endpoints_of(money, jobs, account, elements, hosting, node)
PREFIXES: Final = (PREFIX, f"/api{PREFIX}")
"""ComfyUI serves every route under /api as well."""

STATUSES: Final[tuple[tuple[type[errors.KlingOnceError], HTTPStatus], ...]] = (
    (errors.ResultGone, HTTPStatus.NOT_FOUND),
    (errors.UnreadableMedia, HTTPStatus.NOT_FOUND),
    (errors.InputRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.SettingsError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.CredentialsError, HTTPStatus.CONFLICT),
    (errors.JobError, HTTPStatus.CONFLICT),
    (errors.SpendingRefused, HTTPStatus.CONFLICT),
    (errors.ApiError, HTTPStatus.BAD_GATEWAY),
    (errors.TransportError, HTTPStatus.BAD_GATEWAY),
    (errors.DownloadError, HTTPStatus.BAD_GATEWAY),
)
"""The first that fits; every other error of ours is a 503."""
HEADERS: Final = {"X-Content-Type-Options": "nosniff"}
JSON_HEADERS: Final = HEADERS | {"Cache-Control": "no-store"}


class App:
    """The page's routes over one host, and what they remember from one request to the next."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.troubles = jobs.Troubles()
        self.measurements = node.Measurements()
        self.neighbors = Neighbors(host.is_watched)
        self._router = web.UrlDispatcher()
        self._endpoints: dict[web.AbstractRoute, Endpoint[Any, Any, Any]] = {}
        for prefix, one in product(PREFIXES, ENDPOINTS):
            resource = self._router.add_resource(prefix + one.path)
            for method in ("GET", "HEAD") if one.method == "GET" else (one.method,):
                self._endpoints[resource.add_route(method, self.handle)] = one

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; every error is answered with JSON."""
        try:
            match = await self._router.resolve(request)
            if match.http_exception is not None:
                return _unrouted(match.http_exception)
            return await self._answer(self._endpoints[match.route], request, match)
        except Refused as refused:
            failure = Failure(error=refused.status.phrase, message=refused.message, hint=refused.hint or None)
            return _json(failure, refused.status)
        except errors.KlingOnceError as error:
            return _json(failure_of(error), _status_of(error))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("A request to %s failed.", request.path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            message = "Kling Once made a mistake; the server's log says more."
            return _json(Failure(error=status.phrase, message=message, hint=None), status)

    async def _answer(
        self, one: Endpoint[Any, Any, Any], request: web.Request, names: Mapping[str, str]
    ) -> web.StreamResponse:
        if one.method == "POST":
            require_json(request)
        engine = await asyncio.to_thread(self.host.engine)
        self.neighbors.attend(engine)
        trusted = engine.settings.trusted_origins
        require_own_origin(request, trusted)
        params = validated(one.params, names)
        values = await json_body(request, one.max_bytes) if one.method == "POST" else dict(request.query)
        given = validated(one.given, values)
        if one.who is Who.LOCAL and not is_local(request, trusted):
            await _require_code(engine, given.code)
        answer = await one.handler(Call(self, engine, params, given, looks_local(request, trusted)))
        return _file(answer) if isinstance(answer, FileAnswer) else _json(answer, one.status)


async def _require_code(engine: Engine, code: str) -> None:
    if not code:
        raise not_local()
    if not await (await engine.ledger()).redeem(code):
        raise wrong_code()


def _status_of(error: errors.KlingOnceError) -> HTTPStatus:
    return next(
        (status for kind, status in STATUSES if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE
    )


def _unrouted(error: web.HTTPException) -> web.StreamResponse:
    """Return the answer for a path that does not exist, or that takes another method."""
    allowed = error.headers.get("Allow")
    status = HTTPStatus(error.status)
    message = f"This path takes {allowed} alone." if allowed else "There is no such path."
    response = _json(Failure(error=status.phrase, message=message, hint=None), status)
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _json(answer: BaseModel, status: HTTPStatus) -> web.StreamResponse:
    return web.json_response(answer.model_dump(mode="json"), status=status, headers=JSON_HEADERS)


def _file(answer: FileAnswer) -> web.StreamResponse:
    headers = {**HEADERS, **answer.headers}
    if answer.name:
        headers["Content-Disposition"] = f'attachment; filename="{answer.name}"'
    if isinstance(answer.content, Path):
        return web.FileResponse(answer.content, headers=headers | {"Content-Type": answer.media_type})
    if isinstance(answer.content, str):
        return web.Response(text=answer.content, content_type=answer.media_type, headers=headers)
    return web.Response(body=answer.content, content_type=answer.media_type, headers=headers)
