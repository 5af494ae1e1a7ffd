"""Errors as JSON answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .. import errors
from .payloads import error_payload

if TYPE_CHECKING:
    from pydantic import ValidationError

STATUSES: tuple[tuple[type[errors.KlingOnceError], HTTPStatus], ...] = (
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
JSON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
SHOWN_FIELDS = 10


class Refused(Exception):
    """A request that is answered with an error; the message is shown."""

    def __init__(self, status: HTTPStatus, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


def json_answer(payload: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    """Return a JSON answer that nobody keeps."""
    return web.json_response(payload, status=status, headers=JSON_HEADERS)


def refused_answer(refused: Refused) -> web.Response:
    """Return the answer to a request that was refused."""
    payload = {"error": refused.status.phrase, "message": refused.message, "hint": refused.hint or None}
    return json_answer(payload, refused.status)


def error_answer(error: errors.KlingOnceError) -> web.Response:
    """Return the answer to a request that ended with one of our errors."""
    status = next(
        (status for kind, status in STATUSES if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE
    )
    return json_answer(error_payload(error), status)


def invalid(error: ValidationError) -> Refused:
    """Return what is wrong with a request, by field; never a value."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    lines = [
        f"{'.'.join(str(part) for part in item['loc'])[:60] or 'request'}: {item['msg'][:120]}"
        for item in found
    ]
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(lines[:SHOWN_FIELDS]))
