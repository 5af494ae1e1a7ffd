"""Every row of the vendor's error table is a typed error that knows what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kling_once import errors
from kling_once.api.service_codes import SERVICE_CODES, api_error
from kling_once.api.transport import may_read_again
from kling_once.errors import ApiError

NEVER, LATER = False, True

TABLE = [
    # HTTP, code, error, may a read be repeated later
    (401, 1000, "AuthenticationError", NEVER),
    (401, 1001, "AuthenticationError", NEVER),
    (401, 1002, "AuthenticationError", NEVER),
    (401, 1003, "TokenTimingError", NEVER),
    (401, 1004, "TokenTimingError", NEVER),
    (429, 1100, "AccountError", NEVER),
    (429, 1101, "AccountError", NEVER),
    (429, 1102, "AccountError", NEVER),
    (403, 1103, "AccountError", NEVER),
    (400, 1200, "InvalidRequest", NEVER),
    (400, 1201, "InvalidValue", NEVER),
    (404, 1202, "InvalidRequest", NEVER),
    (404, 1203, "ResourceMissing", NEVER),
    (400, 1300, "ModerationRefusal", NEVER),
    (400, 1301, "ModerationRefusal", NEVER),
    (429, 1302, "Busy", LATER),
    (429, 1303, "Busy", LATER),
    (429, 1304, "AccountError", NEVER),
    (500, 5000, "ServerFault", LATER),
    (503, 5001, "ServerFault", LATER),
    (504, 5002, "ServerFault", LATER),
]


def envelope(code: int, message: str = "as the vendor says it", **more: Any) -> str:
    return json.dumps({"code": code, "message": message, "request_id": "req-1"} | more)


async def refused(connect: Any, serve: Any, code: int, status: int, **more: Any) -> ApiError:
    server = await serve(
        status=status, text=envelope(code, **more), content_type="application/json", charset="utf-8"
    )
    client = await connect(server.origin)
    with pytest.raises(ApiError) as caught:
        await client.get("some-task")
    return caught.value


@pytest.mark.parametrize(("status", "code", "name", "read"), TABLE)
async def test_every_documented_code_becomes_its_typed_error(
    connect: Any, serve: Any, status: int, code: int, name: str, read: bool
) -> None:
    error = await refused(connect, serve, code, status)
    assert type(error) is getattr(errors, name)
    assert may_read_again(error) is read
    assert (error.code, error.http_status, error.request_id) == (code, status, "req-1")
    assert str(code) in error.message
    assert "as the vendor says it" in error.message
    assert "req-1" in error.message
    assert error.hint.endswith(".")


def test_the_table_has_exactly_the_documented_rows() -> None:
    documented = {code: status for status, code, *_ in TABLE}
    assert {code: row.http_status for code, row in SERVICE_CODES.items()} == documented


async def test_a_code_that_is_not_0_is_an_error_also_on_http_200(connect: Any, serve: Any) -> None:
    error = await refused(connect, serve, 1102, 200)
    assert isinstance(error, errors.AccountError)


@pytest.mark.parametrize("code", [1100, 1101, 1102, 1304])
async def test_429_is_not_taken_for_passing_when_the_account_is_the_reason(
    connect: Any, serve: Any, code: int
) -> None:
    error = await refused(connect, serve, code, 429)
    assert type(error) is errors.AccountError
    assert not may_read_again(error)


@pytest.mark.parametrize("code", [1302, 1303])
async def test_429_waits_its_turn_when_too_much_is_going_on(connect: Any, serve: Any, code: int) -> None:
    assert type(await refused(connect, serve, code, 429)) is errors.Busy


@pytest.mark.parametrize("code", [1, -1, 1399, 9999, 2**40])
async def test_a_code_nobody_documents_is_settled_before_anything_is_sent_again(
    connect: Any, serve: Any, code: int
) -> None:
    error = await refused(connect, serve, code, 200)
    assert type(error) is errors.ServerFault


async def test_an_error_without_data_message_or_request_id_is_understood(connect: Any, serve: Any) -> None:
    server = await serve(status=429, text='{"code": 1303}', content_type="application/json")
    client = await connect(server.origin)
    with pytest.raises(errors.Busy) as caught:
        await client.get("some-task")
    assert caught.value.request_id == ""


async def test_a_vendor_text_is_one_line_and_at_most_500_characters(connect: Any, serve: Any) -> None:
    error = await refused(connect, serve, 1201, 400, message="bad\x1b[31m\n\tvalue \u202e" + "x" * 5000)
    assert "\n" not in error.message
    assert "\x1b" not in error.message
    assert "\u202e" not in error.message
    assert len(error.message) < 700


def test_a_refused_create_waits_its_turn_only_where_the_table_says_so() -> None:
    waits = {code for code in SERVICE_CODES if isinstance(api_error(code, 0, ""), errors.Busy)}
    settled = {code for code in SERVICE_CODES if isinstance(api_error(code, 0, ""), errors.ServerFault)}
    assert waits == {1302, 1303}
    assert settled == {5000, 5001, 5002}
