"""Who may call the vendor's paths: a static API key, or a JWT signed with access key and secret key."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import jwt

from .wire import (
    AUTHENTICATION,
    AUTHORIZATION_EMPTY,
    AUTHORIZATION_INVALID,
    TOKEN_EXPIRED,
    TOKEN_NOT_YET_VALID,
    Refusal,
)

if TYPE_CHECKING:
    from .options import SandboxOptions


def check_authorization(header: str | None, options: SandboxOptions) -> None:
    """Raise `Refusal` 1000 to 1004 unless the header carries a key or token of this account.

    Documented: `Bearer`, one space, the token; HS256 with `iss`, `exp` and `nbf`.
    A maximum for `exp` is not documented, so there is none. No leeway.
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
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_sub": False,
                "verify_jti": False,
                "verify_iss": False,
            },
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
