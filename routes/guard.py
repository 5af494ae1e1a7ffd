"""What every request passes before its handler sees it."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import BaseModel, ValidationError

from ..kling_once.errors import KlingOnceError, SubmissionsHeld
from ..kling_once.jobs.one_time_code import spend
from ..kling_once.pages.requests import JobPath, model_of
from .refusals import Refused, error_answer, invalid, refused_answer
from .trust import is_local, looks_local, not_local, require_own_origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from ..kling_once.jobs.engine import Engine
    from ..kling_once.pages.endpoints import Endpoint
    from .place import Place

    Handler = Callable[["Asked"], Awaitable[web.StreamResponse]]

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
    database = (await asyncio.to_thread(engine.ledger)).database
    if not await asyncio.to_thread(spend, database, values.code, engine.clock.now()):
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
