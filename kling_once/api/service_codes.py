"""The vendor's service codes, with the typed error and the hint of each.

`CONTRIBUTING.md` walks through adding a code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    Busy,
    InvalidRequest,
    InvalidValue,
    ModelRetired,
    ModerationRefusal,
    ResourceMissing,
    ServerFault,
    TokenTimingError,
    vendor_text,
)


@dataclass(frozen=True, slots=True)
class ServiceCode:
    """One row of the vendor's error table (official documentation of 2026-09-20)."""

    http_status: int
    error: type[ApiError]
    meaning: str
    hint: str
    is_final: bool = False
    """The same order will be refused again: it is not sent again until somebody says so."""


_KEY = "Check the key, and that it belongs to this region."
_CLOCK = "Set this machine's clock right."
_CONTENT = "Change the picture, the clip or the prompt. Kling does not review a refusal here."
_VALUE = "Change the input that the text names."
_LATER = "Try again later."
_TOP_UP = "Top up the account in Kling's console."
_PACK = "Buy a video pack or switch on pay-as-you-go in Kling's console, then run again."
_TURN = "Wait; the request is sent again when a running task ends."

SERVICE_CODES: dict[int, ServiceCode] = {
    1000: ServiceCode(401, AuthenticationError, "authentication failed", _KEY),
    1001: ServiceCode(401, AuthenticationError, "no credential was sent", "Set a key."),
    1002: ServiceCode(401, AuthenticationError, "the credential is not valid", _KEY),
    1003: ServiceCode(401, TokenTimingError, "the token is not valid yet", _CLOCK),
    1004: ServiceCode(401, TokenTimingError, "the token has expired", _CLOCK),
    1100: ServiceCode(
        429,
        AccountError,
        "the account is in an abnormal state",
        "Look at the account's settings in Kling's console.",
    ),
    1101: ServiceCode(429, AccountError, "the account is in arrears", _TOP_UP),
    1102: ServiceCode(429, AccountError, "the resource pack is used up, expired, or of another type", _PACK),
    1103: ServiceCode(
        403,
        AccountError,
        "the account has no right to this API or model",
        "Ask for access in Kling's console, or choose another model.",
    ),
    1200: ServiceCode(400, InvalidRequest, "the parameters are not valid", _VALUE),
    1201: ServiceCode(400, InvalidValue, "a value is not valid", _VALUE),
    1202: ServiceCode(404, InvalidRequest, "the method is not valid", "Update Kling Once."),
    1203: ServiceCode(
        404, ResourceMissing, "something that was named does not exist", "Check the model and the ids."
    ),
    1300: ServiceCode(
        400, ModerationRefusal, "the platform's policy refused the input", _CONTENT, is_final=True
    ),
    1301: ServiceCode(
        400, ModerationRefusal, "content moderation refused the input", _CONTENT, is_final=True
    ),
    1302: ServiceCode(429, Busy, "too many requests", "Wait; the request is sent again by itself."),
    1303: ServiceCode(429, Busy, "the account's parallel limit is reached", _TURN),
    1304: ServiceCode(
        429,
        AccountError,
        "this address is not on the account's IP list",
        "Add the server's address to the list in Kling's console.",
    ),
    5000: ServiceCode(500, ServerFault, "Kling had an internal error", _LATER),
    5001: ServiceCode(503, ServerFault, "Kling is unavailable, usually for maintenance", _LATER),
    5002: ServiceCode(504, ServerFault, "Kling timed out inside, usually a backlog", _LATER),
}

PARALLEL_LIMIT = 1303
"""The account runs as many tasks as its pack allows."""
FINAL_CODES = frozenset(code for code, row in SERVICE_CODES.items() if row.is_final)

RETIRED: Final = re.compile(r"\bmodel\b.*\b(discontinued|no longer (available|supported))\b", re.IGNORECASE)
"""Seen live for a model that was switched off: "The model 'kling-v1' has been discontinued and is no longer
available." No page documents it, nor its code."""
CHOOSE_ANOTHER_MODEL: Final = "Choose another model: Kling has switched this one off."


def is_final(code: int | None, reason: str | None) -> bool:
    """Tell whether an order that was refused so will be refused again.

    Args:
        code: the service code of the refusal.
        reason: the error's message, which holds the vendor's text.
    """
    return code in FINAL_CODES or bool(RETIRED.search(reason or ""))


def refusal_advice(code: int | None, reason: str | None) -> str | None:
    """Return what to do about a create that was refused; None where nothing is known."""
    if RETIRED.search(reason or ""):
        return CHOOSE_ANOTHER_MODEL
    row = SERVICE_CODES.get(code) if code is not None else None
    return row.hint if row else None


def api_error(code: int, http_status: int, message: str, request_id: str = "") -> ApiError:
    """Return the typed error for a service code; an undocumented code is a `ServerFault`.

    Args:
        code: `code` of the answer, not 0.
        http_status: HTTP status of the answer, for the message.
        message: the vendor's own text; escaped and cut to 500 characters.
        request_id: `request_id` of the answer.
    """
    row = SERVICE_CODES.get(code)
    error = row.error if row else ServerFault
    meaning = row.meaning if row else "Kling answered with a code that is not documented"
    said = vendor_text(message)
    text = f"Kling refused with code {code} (HTTP {http_status}): {meaning}."
    if said:
        text += f' Kling said: "{said}".'
    if request_id:
        text += f" Request {vendor_text(request_id)}."
    return (ModelRetired if RETIRED.search(said) else error)(
        text,
        code=code,
        http_status=http_status,
        request_id=request_id,
        hint=refusal_advice(code, said) or _LATER,
    )
