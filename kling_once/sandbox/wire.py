"""The vendor's wire format: service codes, envelope, strict JSON bodies, the Authorization header."""

from __future__ import annotations

import hmac
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt

if TYPE_CHECKING:
    from .options import SandboxOptions


SERVICE_CODES: Final = {
    0: (200, "SUCCEED"),
    1000: (401, "Authentication failed"),
    1001: (401, "Authorization is empty"),
    1002: (401, "Authorization is invalid"),
    1003: (401, "Authorization is not yet valid"),
    1004: (401, "Authorization has expired"),
    1100: (429, "Abnormal account status"),
    1101: (429, "Account in arrears"),
    1102: (429, "Account balance not enough"),
    1103: (403, "No permission for this API or model"),
    1200: (400, "Invalid request parameters"),
    1201: (400, "Invalid key or value"),
    1202: (404, "The requested method is invalid"),
    1203: (404, "The requested resource does not exist"),
    1300: (400, "Blocked by the platform's policy"),
    1301: (400, "Failure to pass the risk control system"),
    1302: (429, "Too many requests"),
    1303: (429, "parallel task over resource pack limit"),
    1304: (429, "Blocked by the IP whitelist policy"),
    5000: (500, "Server internal error"),
    5001: (503, "Server temporarily unavailable"),
    5002: (504, "Server internal timeout"),
}
"""HTTP status and message of each service code (Kling's error table of 2026-09-20)."""

AUTHENTICATION: Final = 1000
AUTHORIZATION_EMPTY: Final = 1001
AUTHORIZATION_INVALID: Final = 1002
TOKEN_NOT_YET_VALID: Final = 1003
TOKEN_EXPIRED: Final = 1004
INVALID_PARAMETERS: Final = 1200
INVALID_VALUE: Final = 1201
INVALID_METHOD: Final = 1202
NO_SUCH_RESOURCE: Final = 1203
OVER_PARALLEL_LIMIT: Final = 1303
INTERNAL_ERROR: Final = 5000
INTERNAL_TIMEOUT: Final = 5002


UNCHECKED_CLAIMS: Final[Any] = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "sub", "jti", "iss")
}
"""What PyJWT leaves to us: its own checks of times would use the machine's clock."""

UNDOCUMENTED: Final = (500, "Unspecified error")


class Refusal(Exception):
    """A request is answered with a service code other than 0.

    Args:
        code: The service code.
        message: What the answer says; without it the documented message of the code.
    """

    def __init__(self, code: int, message: str | None = None) -> None:
        self.code = code
        self.message = message if message is not None else SERVICE_CODES.get(code, UNDOCUMENTED)[1]
        super().__init__(f"{code}: {self.message}")


@dataclass(frozen=True)
class Reply:
    """An answer before it is sent; with status None the connection is reset instead."""

    status: int | None
    body: dict[str, Any] | bytes = b""
    content_type: str = "application/json"


RESET: Final = Reply(None)


def success(data: Any) -> Reply:
    """Return `data` in the envelope of code 0."""
    return Reply(200, _envelope(0, SERVICE_CODES[0][1]) | {"data": data})


def failure(code: int, message: str | None = None) -> Reply:
    """Return the envelope of an error, without `data`; an undocumented code has HTTP status 500."""
    refusal = Refusal(code, message)
    return Reply(SERVICE_CODES.get(code, UNDOCUMENTED)[0], _envelope(code, refusal.message))


def _envelope(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": str(uuid.uuid4())}


def clip(text: str, limit: int = 100) -> str:
    """Quote untrusted text for a message: escaped to ASCII and cut to `limit` characters."""
    shown = text.encode("unicode_escape").decode("ascii")
    return repr(shown if len(shown) <= limit else shown[:limit] + "...")


def parse_body(raw: bytes) -> Any:
    """Parse a JSON body strictly; integers keep every digit.

    Raises:
        Refusal: Code 1200. The body is not UTF-8 or not JSON, holds NaN, a repeated key, an integer of
            thousands of digits, or is nested too deeply.
    """
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Refusal(INVALID_PARAMETERS, "the request body is not UTF-8") from None
    except RecursionError:
        raise Refusal(INVALID_PARAMETERS, "the request body is nested too deeply") from None
    except ValueError as error:
        raise Refusal(INVALID_PARAMETERS, f"the request body is not valid JSON: {clip(str(error))}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{clip(twice)} is given twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def check_authorization(header: str | None, options: SandboxOptions) -> None:
    """Check the Authorization header of a call.

    Documented: `Bearer`, one space, the token; a JWT is signed with HS256 and holds `iss`, `exp` and
    `nbf`. The page names no maximum of `exp` and no leeway, so there is neither.

    Raises:
        Refusal: Code 1000 to 1004, unless the header holds a key or a token of this account.
    """
    if header is None or not header.strip():
        raise Refusal(AUTHORIZATION_EMPTY)
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token or token != token.strip() or " " in token:
        raise Refusal(AUTHENTICATION, "Authorization must be 'Bearer', one space and the token")
    if same(token, options.api_key):
        return
    _check_times(_claims(token, options), options.now())


def same(given: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape")
    )


def _claims(token: str, options: SandboxOptions) -> dict[str, Any]:
    if token.count(".") != 2:  # noqa: PLR2004 - header.payload.signature
        raise Refusal(
            AUTHORIZATION_INVALID,
            "Authorization is neither a known API key nor a JWT (expected to have 3 parts)",
        )
    try:
        claims = jwt.decode(
            token,
            options.secret_key,
            algorithms=["HS256"],
            options=UNCHECKED_CLAIMS,
        )
    except (jwt.InvalidTokenError, RecursionError, ValueError):
        raise Refusal(AUTHORIZATION_INVALID, "the signature or form of the token is wrong") from None
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not same(issuer, options.access_key):
        raise Refusal(AUTHORIZATION_INVALID, "the token's iss is not a known access key")
    return claims


def _check_times(claims: dict[str, Any], now: float) -> None:
    times = {}
    for name in ("exp", "nbf"):
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
            raise Refusal(AUTHORIZATION_INVALID, f"the token needs a numeric {name}")
        times[name] = value
    if now < times["nbf"]:
        raise Refusal(TOKEN_NOT_YET_VALID)
    if now >= times["exp"]:
        raise Refusal(TOKEN_EXPIRED)
