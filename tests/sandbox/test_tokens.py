"""Who may call: codes 1000 to 1004."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from kling_once.sandbox import DEFAULT_ACCESS_KEY, DEFAULT_API_KEY, DEFAULT_SECRET_KEY

CREATE = "/v1/videos/motion-control"
NOW = 1_800_000_000


def token(secret: str = DEFAULT_SECRET_KEY, algorithm: str = "HS256", **changes: object) -> str:
    claims = {"iss": DEFAULT_ACCESS_KEY, "exp": NOW + 1800, "nbf": NOW - 5} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not ...}, secret, algorithm)


def unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'iss': DEFAULT_ACCESS_KEY, 'exp': NOW + 9})}."


def header_of(algorithm: str) -> str:
    """Give a valid token whose header names another algorithm."""
    head = (
        base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode().rstrip("=")
    )
    return f"{head}.{token().partition('.')[2]}"


async def code(bench: Any, header: str | None) -> int:
    headers = {} if header is None else {"Authorization": header}
    answer = await bench.call("GET", CREATE, headers=headers)
    assert answer.status == (200 if answer.code == 0 else 401)
    return answer.code


async def test_the_api_key_and_a_signed_token_are_accepted(bench: Any) -> None:
    assert await code(bench, f"Bearer {DEFAULT_API_KEY}") == 0
    assert await code(bench, f"Bearer {token()}") == 0


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
async def test_the_schemes_name_may_be_in_any_case(bench: Any, scheme: str) -> None:
    assert await code(bench, f"{scheme} {DEFAULT_API_KEY}") == 0
    assert await code(bench, f"{scheme} {token()}") == 0


@pytest.mark.parametrize("header", [None, "", "  ", "Bearer", "Bearer ", "bearer   "])
async def test_an_empty_authorization_is_1001(bench: Any, header: str | None) -> None:
    assert await code(bench, header) == 1001


@pytest.mark.parametrize(
    "header",
    ["Basic eDp5", "Basic", f"Bearer  {DEFAULT_API_KEY}", DEFAULT_API_KEY, f"Bearer {DEFAULT_API_KEY} x"],
)
async def test_a_malformed_authorization_is_1000(bench: Any, header: str | None) -> None:
    assert await code(bench, header) == 1000


async def test_a_wrong_key_or_token_is_1002(bench: Any) -> None:
    wrong = [
        "wrong-key",
        DEFAULT_API_KEY + "x",
        DEFAULT_API_KEY[:-1],
        token(secret="another-secret-of-more-than-32-characters"),
        token(iss="somebody"),
        token(iss=...),
        token(exp=...),
        token(nbf=...),
        token(exp="soon"),
        token(exp=True),
        token(exp=float("nan")),
        token(secret=DEFAULT_SECRET_KEY * 2, algorithm="HS512"),
        header_of("HS512"),
        unsigned(),
        "a.b.c",
        "..",
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.e30",
        "\udcff.\udcfe.\udcfd",
    ]
    for value in wrong:
        assert await code(bench, f"Bearer {value}") == 1002, value


async def test_a_token_from_the_future_is_1003_and_an_old_one_1004(bench: Any) -> None:
    assert await code(bench, f"Bearer {token(nbf=NOW + 1)}") == 1003
    assert await code(bench, f"Bearer {token(nbf=NOW)}") == 0
    assert await code(bench, f"Bearer {token(exp=NOW)}") == 1004
    assert await code(bench, f"Bearer {token(exp=10**400)}") == 0


async def test_a_token_expires_with_the_sandboxs_clock(bench: Any) -> None:
    signed = token()
    assert await code(bench, f"Bearer {signed}") == 0
    bench.clock.seconds += 1800
    assert await code(bench, f"Bearer {signed}") == 1004


async def test_the_token_is_looked_at_before_the_body(bench: Any) -> None:
    answer = await bench.call("POST", CREATE, json={"nonsense": 1}, headers={})
    assert (answer.status, answer.code) == (401, 1001)
