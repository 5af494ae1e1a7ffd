"""Keys: what is signed, when it is signed again, and that nobody sees it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from pydantic import SecretStr

from kling_once.accounts.accounts import ApiKey, KeyPair, credential_of
from kling_once.accounts.profiles import Profile
from kling_once.errors import SettingsError, TokenTimingError

if TYPE_CHECKING:
    from kling_once.api.client import Credential

ACCESS = "access-key-of-the-tests-0123456789"
SECRET = "secret-key-of-the-tests-0123456789abcdef"
FINGERPRINT_KEY = bytes(range(32))


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False})


def profile(**keys: str) -> Profile:
    secrets: dict[str, Any] = {name: SecretStr(key) for name, key in keys.items()}
    return Profile("studio", "https://api.example", "file", **secrets)


def test_a_token_holds_exactly_what_is_documented(clock: Any) -> None:
    token = KeyPair(ACCESS, SECRET, clock).bearer()
    now = int(clock.now().timestamp())
    assert claims_of(token) == {"iss": ACCESS, "exp": now + 1800, "nbf": now - 5}
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_a_token_is_signed_again_well_before_it_expires(clock: Any) -> None:
    pair = KeyPair(ACCESS, SECRET, clock)
    first = pair.bearer()
    clock.advance(1499)
    assert pair.bearer() == first
    clock.advance(2)
    second = pair.bearer()
    assert second != first
    assert claims_of(second)["exp"] - int(clock.now().timestamp()) == 1800


async def test_an_hour_of_polling_never_shows_an_expired_token(
    connect: Any, start_sandbox: Any, clock: Any, request_of: Any
) -> None:
    sandbox = await start_sandbox(now=lambda: clock.now().timestamp(), access_key=ACCESS, secret_key=SECRET)
    client = await connect(sandbox.origin, KeyPair(ACCESS, SECRET, clock))
    for _ in range(40):
        assert (await client.list()).value == ()
        clock.advance(90)


@pytest.mark.parametrize("code", [1003, 1004])
async def test_a_token_that_is_refused_for_its_time_is_signed_again_once(
    connect: Any, serve: Any, clock: Any, request_of: Any, code: int
) -> None:
    answers = [{"code": code}, {"code": 0, "data": {"task_id": "8001"}}]

    async def answer(_request: Any) -> Any:
        clock.advance(1)
        return aiohttp_json(answers.pop(0))

    server = await serve(answer)
    client = await connect(server.origin, KeyPair(ACCESS, SECRET, clock))
    assert (await client.create(request_of())).value.task_id == "8001"
    first, second = server.authorizations
    assert first != second
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize("code", [1003, 1004])
async def test_a_second_refusal_for_time_is_final(
    connect: Any, serve: Any, clock: Any, request_of: Any, code: int
) -> None:
    server = await serve(
        body=json.dumps({"code": code}).encode(), content_type="application/json", status=401
    )
    client = await connect(server.origin, KeyPair(ACCESS, SECRET, clock))
    with pytest.raises(TokenTimingError):
        await client.create(request_of())
    assert len(server.requests) == 2


async def test_an_api_key_that_cannot_be_signed_again_is_sent_once(connect: Any, serve: Any) -> None:
    server = await serve(body=b'{"code": 1004}', content_type="application/json", status=401)
    with pytest.raises(TokenTimingError):
        await (await connect(server.origin)).get("8001")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3600, "3600 s behind Kling's"), (7200, "7200 s ahead of Kling's")]
)
async def test_a_wrong_clock_is_named_with_its_error(
    connect: Any, start_sandbox: Any, clock: Any, seconds: int, words: str
) -> None:
    theirs = (clock.now() - timedelta(seconds=seconds)).timestamp()
    sandbox = await start_sandbox(now=lambda: theirs, access_key=ACCESS, secret_key=SECRET)
    client = await connect(sandbox.origin, KeyPair(ACCESS, SECRET, clock))
    with pytest.raises(TokenTimingError) as caught:
        await client.list()
    assert words in caught.value.hint


@pytest.mark.parametrize("date", [None, "nonsense", "Sun, 22 Nov 2026 08:00:00 -0000"])
async def test_a_wrong_clock_is_told_whatever_the_date_header_says(
    connect: Any, serve: Any, date: str | None
) -> None:
    headers = {"Date": date} if date else {}
    server = await serve(body=b'{"code": 1003}', content_type="application/json", headers=headers, status=401)
    with pytest.raises(TokenTimingError) as caught:
        await (await connect(server.origin)).list()
    assert "clock" in caught.value.hint


async def test_both_kinds_of_key_open_the_sandbox(connect: Any, start_sandbox: Any, clock: Any) -> None:
    sandbox = await start_sandbox(
        now=lambda: clock.now().timestamp(), access_key=ACCESS, secret_key=SECRET, api_key="k" * 40
    )
    for credential in (KeyPair(ACCESS, SECRET, clock), ApiKey("k" * 40)):
        assert (await (await connect(sandbox.origin, credential)).list()).value == ()


def credentials(clock: Any) -> list[Credential]:
    return [ApiKey(SECRET), KeyPair(ACCESS, SECRET, clock)]


def test_no_representation_shows_a_key(clock: Any) -> None:
    for credential in credentials(clock):
        token = credential.bearer()
        shown = f"{credential!r} {credential} {[credential]}"
        assert SECRET not in shown
        assert ACCESS not in shown
        assert token not in shown


def test_a_fingerprint_names_a_credential_and_tells_nothing_about_it(clock: Any) -> None:
    api_key, pair = (credential.fingerprint(FINGERPRINT_KEY) for credential in credentials(clock))
    assert api_key == ApiKey(SECRET).fingerprint(FINGERPRINT_KEY)
    assert len({api_key, pair, ApiKey(SECRET).fingerprint(b"another home")}) == 3
    assert len(api_key) == 32
    assert KeyPair(ACCESS, SECRET + "x", clock).fingerprint(FINGERPRINT_KEY) != pair
    assert KeyPair(ACCESS + "x", SECRET, clock).fingerprint(FINGERPRINT_KEY) != pair


def test_an_api_key_wins_over_a_key_pair(clock: Any) -> None:
    both = profile(api_key=SECRET, access_key=ACCESS, secret_key=SECRET)
    assert credential_of(both, clock).bearer() == SECRET


def test_blanks_around_a_copied_key_do_not_count(clock: Any) -> None:
    assert credential_of(profile(api_key=f" {SECRET}\n"), clock).bearer() == SECRET


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "tab\tin", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(clock: Any, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        credential_of(profile(api_key=key), clock)
    assert key not in str(caught.value)
    assert "studio" in caught.value.message


def aiohttp_json(value: dict[str, Any]) -> Any:
    from aiohttp import web  # noqa: PLC0415 - the only use

    return web.json_response(value)
