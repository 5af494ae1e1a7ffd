"""What the client sends, and what it makes of every kind of answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.api import client as client_module
from kling_once.api.client import PIECE_BYTES
from kling_once.api.models import TaskStatus
from kling_once.errors import (
    AnswerLost,
    InputRefused,
    NeverSent,
    UnreadableAnswer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = {"task_id": "8001", "task_status": "submitted", "created_at": 1_800_000_000_000}


def ok(data: Any = None) -> bytes:
    return json.dumps({"code": 0, "message": "SUCCEED", "request_id": "req-1", "data": data or TASK}).encode()


async def test_a_create_sends_exactly_the_documented_body(
    connect: Any, serve: Any, request_of: Callable[..., Any]
) -> None:
    server = await serve(body=ok(), content_type="application/json")
    client = await connect(server.origin)
    answer = await client.create(
        request_of(
            model_name="kling-v3",
            prompt="舞 on a roof",
            element_id="829836802793406551",
            watermark=True,
            callback_url="https://back.example/kling",
            external_task_id="mine-1",
            keep_original_sound=False,
            mode="pro",
            image_url="QUJD",
        )
    )
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/videos/motion-control")
    assert request.headers["Authorization"] == "Bearer api-key-of-the-tests-0123456789abcdef"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(server.bodies[0]) == {
        "model_name": "kling-v3",
        "prompt": "舞 on a roof",
        "image_url": "QUJD",
        "video_url": "https://clips.example/motion.mp4",
        "element_list": [{"element_id": 829836802793406551}],
        "keep_original_sound": "no",
        "character_orientation": "video",
        "mode": "pro",
        "watermark_info": {"enabled": True},
        "callback_url": "https://back.example/kling",
        "external_task_id": "mine-1",
    }
    assert b'"element_id": 829836802793406551}' in server.bodies[0]
    assert answer.value.task_id == "8001"
    assert answer.value.status is TaskStatus.SUBMITTED


async def test_a_list_asks_for_the_documented_page(connect: Any, serve: Any) -> None:
    server = await serve(body=ok([TASK, TASK | {"task_id": "8002"}]), content_type="application/json")
    answer = await (await connect(server.origin)).list(3, 500)
    assert server.requests[0].query_string == "pageNum=3&pageSize=500"
    assert [task.task_id for task in answer.value] == ["8001", "8002"]


async def test_an_answer_carries_the_vendors_clock(connect: Any, serve: Any) -> None:
    date = {"Date": "Sun, 22 Nov 2026 09:00:00 GMT"}
    server = await serve(body=ok(), content_type="application/json", headers=date)
    answer = await (await connect(server.origin)).get("8001")
    assert answer.server_time.isoformat() == "2026-11-22T09:00:00+00:00"


@pytest.mark.parametrize(
    "date", ["nonsense", "Sun, 22 Nov 2026 09:00:00 -0000", "Sun, 1 Jan 99999 0:0:0 GMT"]
)
async def test_an_odd_date_header_does_not_cost_the_answer(connect: Any, serve: Any, date: str) -> None:
    server = await serve(body=ok(), content_type="application/json", headers={"Date": date})
    answer = await (await connect(server.origin)).get("8001")
    assert answer.value.task_id == "8001"
    assert answer.server_time is None or answer.server_time.tzinfo is not None


@pytest.mark.parametrize(
    "task_id", ["", ".", "..", "a/b", "../../account/costs", "%2e%2e", "a b", "ü", "x" * 129]
)
async def test_an_id_that_could_leave_its_path_is_refused_unsent(
    connect: Any, serve: Any, task_id: str
) -> None:
    server = await serve(body=ok(), content_type="application/json")
    client = await connect(server.origin)
    with pytest.raises(InputRefused, match="is not a task id"):
        await client.get(task_id)
    assert server.requests == []


@pytest.mark.parametrize("task_id", ["a.b", "...", "a:b", "ko-0-1", "x" * 128])
async def test_every_id_that_is_allowed_stays_in_its_path(connect: Any, serve: Any, task_id: str) -> None:
    server = await serve(body=ok(), content_type="application/json")
    await (await connect(server.origin)).get(task_id)
    assert server.requests[0].path == f"/v1/videos/motion-control/{task_id}"


BROKEN = {
    "html": (200, b"<!doctype html><title>Sign in</title>", "text/html"),
    "html error page": (502, b"<html>Bad Gateway</html>", "text/html"),
    "empty": (200, b"", "application/json"),
    "empty 500": (500, b"", "text/plain"),
    "broken json": (200, b'{"code": 0, "data": {"task_id":', "application/json"),
    "not utf-8": (200, b'{"code": 0, "message": "\xff\xfe\xff"}', "application/json"),
    "a list": (200, b"[]", "application/json"),
    "a number": (200, b"5", "application/json"),
    "null": (200, b"null", "application/json"),
    "no code": (200, b'{"data": {"task_id": "1"}}', "application/json"),
    "code as text": (200, b'{"code": "0", "data": {"task_id": "1"}}', "application/json"),
    "code true": (200, b'{"code": true}', "application/json"),
    "code null": (200, b'{"code": null}', "application/json"),
    "code 0 on an error status": (500, ok(), "application/json"),
    "no data": (200, b'{"code": 0}', "application/json"),
    "data null": (200, b'{"code": 0, "data": null}', "application/json"),
    "data a list": (200, b'{"code": 0, "data": []}', "application/json"),
    "no task id": (200, b'{"code": 0, "data": {"task_status": "submitted"}}', "application/json"),
    "empty task id": (200, b'{"code": 0, "data": {"task_id": ""}}', "application/json"),
    "task id an object": (200, b'{"code": 0, "data": {"task_id": {}}}', "application/json"),
    "deeply nested": (200, b"[" * 100_000, "application/json"),
    "a number of 10000 digits": (200, b'{"code": ' + b"1" * 10_000 + b"}", "application/json"),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_is_not_the_apis_envelope_is_called_so_and_nothing_else(
    connect: Any, serve: Any, kind: str, request_of: Callable[..., Any]
) -> None:
    status, body, content_type = BROKEN[kind]
    server = await serve(status=status, body=body, content_type=content_type)
    client = await connect(server.origin)
    for call in (client.get("8001"), client.create(request_of())):
        with pytest.raises(UnreadableAnswer) as caught:
            await call
        assert server.origin in caught.value.message
        assert caught.value.hint
    assert len(server.requests) == 2, "an unreadable answer is never a reason to send again"


async def test_a_gzipped_answer_is_read(connect: Any, serve: Any) -> None:
    server = await serve(
        body=gzip.compress(ok()), content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert (await (await connect(server.origin)).get("8001")).value.task_id == "8001"


async def test_a_broken_gzip_answer_is_a_lost_answer(connect: Any, serve: Any) -> None:
    server = await serve(
        body=b"not gzip", content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    with pytest.raises(AnswerLost):
        await (await connect(server.origin)).get("8001")


async def test_an_answer_without_end_is_cut_off(
    connect: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_MAX_BYTES", 200_000)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 50_000)
            sent += 50_000

    server = await serve(endless)
    with pytest.raises(AnswerLost):
        await (await connect(server.origin)).get("8001")
    assert sent < 40_000_000


async def test_a_gzip_bomb_is_cut_off_by_its_unpacked_size(
    connect: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_MAX_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 50_000_000)
    server = await serve(body=bomb, content_type="application/json", headers={"Content-Encoding": "gzip"})
    with pytest.raises(AnswerLost):
        await (await connect(server.origin)).get("8001")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_so_the_key_stays_with_its_host(
    connect: Any, serve: Any, status: int, request_of: Callable[..., Any]
) -> None:
    elsewhere = await serve(body=ok(), content_type="application/json")
    server = await serve(status=status, headers={"Location": elsewhere.origin + "/v1/videos/motion-control"})
    client = await connect(server.origin)
    with pytest.raises(UnreadableAnswer):
        await client.create(request_of())
    with pytest.raises(UnreadableAnswer):
        await client.get("8001")
    assert elsewhere.requests == []


async def test_a_create_without_an_answer_is_given_up_and_never_repeated(
    connect: Any, serve: Any, request_of: Callable[..., Any]
) -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    server = await serve(silent)
    client = await connect(server.origin, create_seconds=0.2)
    with pytest.raises(AnswerLost, match="did not answer in time"):
        await client.create(request_of())
    assert len(server.requests) == 1


async def test_the_rest_of_a_create_that_may_not_be_sent_any_more_stays_here(
    connect: Any, serve: Any, request_of: Callable[..., Any]
) -> None:
    """A process that was suspended goes on with an upload that others have settled meanwhile."""
    server = await serve(body=ok(), content_type="application/json")
    request = request_of(image_url="A" * (5 * PIECE_BYTES))
    allowed = [True] * 5
    with pytest.raises(AnswerLost, match="stood still"):
        await (await connect(server.origin)).create(request, lambda: bool(allowed and allowed.pop()))
    assert not allowed
    await asyncio.sleep(0.1)
    assert server.bodies == [], "no request was complete"


async def test_a_create_is_sent_with_its_length_and_in_pieces(
    connect: Any, serve: Any, request_of: Callable[..., Any]
) -> None:
    server = await serve(body=ok(), content_type="application/json")
    request = request_of(image_url="A" * (2 * PIECE_BYTES))
    asked: list[int] = []
    await (await connect(server.origin)).create(request, lambda: not asked.append(1))
    assert len(asked) == 3
    assert server.bodies == [request.encode()]
    assert server.requests[0].headers["Content-Length"] == str(len(request.encode()))
    assert "Transfer-Encoding" not in server.requests[0].headers


async def test_a_connection_that_breaks_is_a_lost_answer_and_never_repeated(
    connect: Any, serve_raw: Any, request_of: Callable[..., Any]
) -> None:
    origin = await serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    with pytest.raises(AnswerLost, match="broke before the answer"):
        await (await connect(origin)).create(request_of())


async def test_what_is_not_http_is_a_lost_answer(connect: Any, serve_raw: Any) -> None:
    origin = await serve_raw(b"SSH-2.0-OpenSSH_9.6\r\n")
    with pytest.raises(AnswerLost):
        await (await connect(origin)).get("8001")


async def test_a_refused_connection_is_proof_that_nothing_was_sent(
    connect: Any, unused_tcp_port: int, request_of: Callable[..., Any]
) -> None:
    with pytest.raises(NeverSent, match="cannot be reached"):
        await (await connect(f"http://127.0.0.1:{unused_tcp_port}")).create(request_of())


async def test_a_host_name_that_nobody_knows_is_proof_that_nothing_was_sent(connect: Any) -> None:
    with pytest.raises(NeverSent, match=r"kling\.invalid cannot be reached"):
        await (await connect("https://kling.invalid")).get("8001")


async def test_tls_that_fails_is_proof_that_nothing_was_sent(connect: Any, serve: Any) -> None:
    server = await serve(body=ok())
    with pytest.raises(NeverSent):
        await (await connect(server.origin.replace("http:", "https:"))).get("8001")


async def test_the_debug_log_of_a_call_has_no_key_and_no_body(
    connect: Any, serve: Any, caplog: pytest.LogCaptureFixture, request_of: Callable[..., Any]
) -> None:
    server = await serve(body=ok(), content_type="application/json")
    with caplog.at_level(logging.DEBUG):
        await (await connect(server.origin)).create(request_of())
    assert "POST /v1/videos/motion-control: HTTP 200" in caplog.text
    assert "api-key-of-the-tests" not in caplog.text
    assert "clips.example" not in caplog.text


def answered_with(*statuses: str) -> bytes:
    tasks = [{"task_id": str(number), "task_status": status} for number, status in enumerate(statuses)]
    return json.dumps({"code": 0, "data": tasks}).encode()


async def test_a_client_warns_about_an_unknown_status_once(
    connect: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(body=answered_with("reviewing", "succeed", "paused", "reviewing"))
    client = await connect(server.origin)
    with caplog.at_level(logging.WARNING):
        await client.list()
        listed = await client.list()
    assert [task.status for task in listed.value] == [None, TaskStatus.SUCCEED, None, None]
    assert [record.args for record in caplog.records] == [("reviewing",), ("paused",)]


async def test_a_stream_of_unknown_statuses_neither_floods_the_log_nor_the_memory(
    connect: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(body=answered_with(*(f"odd-{number}" for number in range(500))))
    client = await connect(server.origin)
    with caplog.at_level(logging.WARNING):
        listed = await client.list()
    assert [task.status for task in listed.value] == [None] * 500
    assert len(caplog.records) == 100
    assert len(client._unknown_statuses) == 100
