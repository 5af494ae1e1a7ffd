"""The vendor's service codes, with the typed error and the hint of each.

To add a code, add its row here and to the table in `tests/api/test_service_codes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    Busy,
    InvalidRequest,
    InvalidValue,
    ModerationRefusal,
    ResourceMissing,
    ServerFault,
    TokenTimingError,
    vendor_text,
)


@dataclass(frozen=True, slots=True)
class ServiceCode:
    """One row of the vendor's error table (official documentation of 2026-09-20)."""

    code: int
    http_status: int
    meaning: str
    hint: str
    error: type[ApiError]


SERVICE_CODES: dict[int, ServiceCode] = {
    row.code: row
    for row in (
        ServiceCode(
            1000,
            401,
            "authentication failed",
            "Check the key, and that it belongs to this region.",
            AuthenticationError,
        ),
        ServiceCode(1001, 401, "no credential was sent", "Set a key.", AuthenticationError),
        ServiceCode(
            1002,
            401,
            "the credential is not valid",
            "Check the key, and that it belongs to this region.",
            AuthenticationError,
        ),
        ServiceCode(
            1003, 401, "the token is not valid yet", "Set this machine's clock right.", TokenTimingError
        ),
        ServiceCode(1004, 401, "the token has expired", "Set this machine's clock right.", TokenTimingError),
        ServiceCode(
            1100,
            429,
            "the account is in an abnormal state",
            "Look at the account's settings in Kling's console.",
            AccountError,
        ),
        ServiceCode(
            1101, 429, "the account is in arrears", "Top up the account in Kling's console.", AccountError
        ),
        ServiceCode(
            1102,
            429,
            "the resource pack is used up, expired, or of another type",
            "Buy a video pack or switch on pay-as-you-go in Kling's console, then run again.",
            AccountError,
        ),
        ServiceCode(
            1103,
            403,
            "the account has no right to this API or model",
            "Ask for access in Kling's console, or choose another model.",
            AccountError,
        ),
        ServiceCode(
            1200, 400, "the parameters are not valid", "Change the input that the text names.", InvalidRequest
        ),
        ServiceCode(1201, 400, "a value is not valid", "Change the input that the text names.", InvalidValue),
        ServiceCode(1202, 404, "the method is not valid", "Update Kling Once.", InvalidRequest),
        ServiceCode(
            1203,
            404,
            "something that was named does not exist",
            "Check the model and the ids.",
            ResourceMissing,
        ),
        ServiceCode(
            1300,
            400,
            "the platform's policy refused the input",
            "Change the picture, the clip or the prompt. Kling does not review a refusal here.",
            ModerationRefusal,
        ),
        ServiceCode(
            1301,
            400,
            "content moderation refused the input",
            "Change the picture, the clip or the prompt. Kling does not review a refusal here.",
            ModerationRefusal,
        ),
        ServiceCode(1302, 429, "too many requests", "Wait; the request is sent again by itself.", Busy),
        ServiceCode(
            1303,
            429,
            "the account's parallel limit is reached",
            "Wait; the request is sent again when a running task ends.",
            Busy,
        ),
        ServiceCode(
            1304,
            429,
            "this address is not on the account's IP list",
            "Add the server's address to the list in Kling's console.",
            AccountError,
        ),
        ServiceCode(5000, 500, "Kling had an internal error", "Try again later.", ServerFault),
        ServiceCode(
            5001, 503, "Kling is unavailable, usually for maintenance", "Try again later.", ServerFault
        ),
        ServiceCode(5002, 504, "Kling timed out inside, usually a backlog", "Try again later.", ServerFault),
    )
}


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
    return error(
        text,
        code=code,
        http_status=http_status,
        request_id=request_id,
        hint=row.hint if row else "Try again later.",
    )
