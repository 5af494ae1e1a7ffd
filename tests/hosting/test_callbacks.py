"""Callbacks: a genuine one ends a wait early, and everything else changes nothing."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import standardwebhooks.webhooks
from pydantic import SecretStr

from kling_once.clock import SystemClock
from kling_once.errors import HostingError
from kling_once.hosting.callbacks import Callbacks, named_task
from kling_once.hosting.gateway import Gateway
from kling_once.hosting.gateway_files import CALLBACKS_KEPT, GatewayTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kling_once.settings import Settings

# The test vector of Kling's page on callbacks, recomputed.
SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
MOMENT = 1781080794
BODY = (
    b'{"id":"1234567890","status":"succeeded","message":"",'
    b'"create_time":1781080778802,"update_time":1781080794151}'
)
HEADERS = {
    "webhook-id": "9876543210",
    "webhook-timestamp": str(MOMENT),
    "webhook-signature": "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
}


@pytest.fixture
def at_the_vectors_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the clock of the library, which takes none."""

    def at(seconds_later: int) -> None:
        class Then(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.fromtimestamp(MOMENT + seconds_later, tz)

        monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)

    return at


@pytest.fixture
async def open_gateway(make_settings: Callable[..., Settings], free_port: int) -> AsyncIterator[Gateway]:
    """Listen without a webhook secret."""
    gateway = Gateway(make_settings(public_url=f"http://127.0.0.1:{free_port}"))
    await gateway.ensure_running()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def gateway(make_settings: Callable[..., Settings], free_port: int) -> AsyncIterator[Gateway]:
    """Listen with the vector's secret."""
    gateway = Gateway(make_settings(public_url=f"http://127.0.0.1:{free_port}", webhook_secret=SECRET))
    await gateway.ensure_running()
    yield gateway
    await gateway.stop()


async def post(gateway: Gateway, body: Any, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway.callback_url(), data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


def believed(gateway: Gateway) -> set[str]:
    """Return every task that a callback named and that was written down."""
    return noted(gateway._table)


def noted(table: GatewayTable) -> set[str]:
    with table._connection() as connection:
        return {task_id for (task_id,) in connection.execute("SELECT task_id FROM callbacks")}


async def test_the_official_vector_is_believed(
    gateway: Gateway, at_the_vectors_time: Callable[[int], None]
) -> None:
    at_the_vectors_time(0)
    assert await post(gateway, BODY, HEADERS) == (200, b"{}")
    assert believed(gateway) == {"1234567890"}


async def test_a_replay_is_harmless(gateway: Gateway, at_the_vectors_time: Callable[[int], None]) -> None:
    at_the_vectors_time(200)
    for _ in range(3):
        assert await post(gateway, BODY, HEADERS) == (200, b"{}")
    assert believed(gateway) == {"1234567890"}


async def test_one_good_signature_among_several_is_enough(
    gateway: Gateway, at_the_vectors_time: Callable[[int], None]
) -> None:
    at_the_vectors_time(0)
    other = "v1," + base64.b64encode(bytes(32)).decode()
    both = {**HEADERS, "webhook-signature": f"{other} {HEADERS['webhook-signature']}"}
    assert (await post(gateway, BODY, both))[0] == 200


@pytest.mark.parametrize("late", [-301, 301, 10**6])
async def test_a_callback_outside_five_minutes_is_refused(
    gateway: Gateway, at_the_vectors_time: Callable[[int], None], late: int
) -> None:
    at_the_vectors_time(late)
    assert (await post(gateway, BODY, HEADERS))[0] == 401
    assert believed(gateway) == set()


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (BODY.replace(b"1234567890", b"1234567891"), {}),
        (BODY + b" ", {}),
        (b"", {}),
        (b"\xff\xfe not UTF-8", {}),
        (BODY, {"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}),
        (BODY, {"webhook-signature": "v1,not base64!"}),
        (BODY, {"webhook-signature": "v1"}),
        (BODY, {"webhook-signature": "v1,a,b,c"}),
        (BODY, {"webhook-signature": "v2,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="}),
        (BODY, {"webhook-timestamp": "yesterday"}),
        (BODY, {"webhook-timestamp": "nan"}),
        (BODY, {"webhook-timestamp": "1e999"}),
        (BODY, {"webhook-id": "1"}),
        (BODY, {"webhook-id": None}),
        (BODY, {"webhook-signature": None}),
        (BODY, {"webhook-id": None, "webhook-timestamp": None, "webhook-signature": None}),
    ],
)
async def test_a_forged_callback_is_401_and_changes_nothing(
    gateway: Gateway,
    at_the_vectors_time: Callable[[int], None],
    body: bytes,
    changed: dict[str, str | None],
) -> None:
    at_the_vectors_time(0)
    headers = {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}
    assert await post(gateway, body, headers) == (401, b"")
    assert believed(gateway) == set()


async def test_both_bodies_are_understood_without_a_secret(open_gateway: Gateway) -> None:
    legacy = {"task_id": "legacy-1", "task_status": "succeed", "task_info": {}, "task_result": {"videos": []}}
    assert await post(open_gateway, json.dumps(legacy)) == (200, b"{}")
    assert await post(open_gateway, json.dumps({"id": "new:1", "status": "processing"})) == (200, b"{}")
    assert believed(open_gateway) == {"legacy-1", "new:1"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff\xfe\x00", 400),
        (b"[" * 60_000, 400),
        (b'{"task_id": ' + b"1" * 5000 + b"}", 400),
        (b'{"task_id": 12345}', 200),
        (b'{"task_id": null, "id": "x"}', 200),
        (b'{"task_id": ""}', 200),
        (b'{"id": "../../account/costs"}', 200),
        (b'{"id": "x\\n"}', 200),
        (json.dumps({"id": "a" * 129}).encode(), 200),
        (b'{"status": "succeeded"}', 200),
    ],
)
async def test_a_malformed_callback_changes_nothing(open_gateway: Gateway, body: bytes, status: int) -> None:
    assert (await post(open_gateway, body))[0] == status
    assert believed(open_gateway) == set()


async def test_a_body_over_64_kb_is_413_however_it_is_announced(open_gateway: Gateway) -> None:
    def padded(size: int) -> bytes:
        body = b'{"id": "big", "x": "'
        return body + b"a" * (size - len(body) - 2) + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        whole = padded(64 * 1024 + 1)
        yield whole[:1000]
        yield whole[1000:]

    assert (await post(open_gateway, padded(64 * 1024 + 1)))[0] == 413
    assert (await post(open_gateway, in_pieces()))[0] == 413
    assert believed(open_gateway) == set()
    assert (await post(open_gateway, padded(64 * 1024)))[0] == 200
    assert believed(open_gateway) == {"big"}


async def test_a_packed_body_is_not_unpacked(open_gateway: Gateway) -> None:
    packed = gzip.compress(b'{"id": "packed"}')
    assert (await post(open_gateway, packed, {"Content-Encoding": "gzip"}))[0] == 400
    assert believed(open_gateway) == set()


async def test_a_body_that_never_ends_is_given_up(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kling_once.hosting.gateway_server.BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", open_gateway.port)
    path = urlsplit(open_gateway.callback_url()).path
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert b"408" in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_callbacks_are_posted_and_nothing_else(open_gateway: Gateway, method: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, open_gateway.callback_url()) as answer,
    ):
        assert answer.status == 405


async def test_a_guessed_callback_path_is_nothing(open_gateway: Gateway) -> None:
    guess = open_gateway.callback_url()[:-1] + "g"
    other = open_gateway.callback_url()[:-1] + ("0" if open_gateway.callback_url()[-1] != "0" else "1")
    async with aiohttp.ClientSession() as session:
        for url in (guess, other):
            async with session.post(url, data=b'{"id": "x"}') as answer:
                assert answer.status == 404
    assert believed(open_gateway) == set()


async def test_a_refused_callback_is_logged_without_its_path(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await post(gateway, BODY, HEADERS)
    assert "not signed with the configured secret" in caplog.text
    assert "/ko/" not in caplog.text
    assert "1234567890" not in caplog.text


@pytest.mark.parametrize(
    "text", [" ", "whsec_", "whsec_=", "whsec_é", "whsec_x", "whsec_!!!!", "whsec_dGVz dA=="]
)
def test_a_secret_that_is_none_is_said_without_repeating_it(text: str, tmp_path: Path) -> None:
    # An empty key would make every forged callback genuine; standardwebhooks 1.0.0 takes it.
    with pytest.raises(HostingError, match="KLING_ONCE_WEBHOOK_SECRET") as caught:
        Callbacks(SecretStr(text), GatewayTable(tmp_path / "table.sqlite"), SystemClock())
    assert "dGVz" not in str(caught.value)


def test_the_legacy_id_counts_where_both_are_there() -> None:
    assert named_task(b'{"task_id": "a", "id": "b"}') == "a"


def test_callbacks_are_read_from_a_moment_on(tmp_path: Path) -> None:
    table = GatewayTable(tmp_path / "table.sqlite")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for minutes, task in enumerate(["a", "b", "c", "a"]):
        table.add_callback(task, lambda minutes=minutes: start + timedelta(minutes=minutes))

    def since(**later: float) -> set[str]:
        return {task for task in "abcd" if table.was_called_back(task, start + timedelta(**later))}

    assert since() == {"a", "b", "c"}
    assert since(minutes=2) == {"a", "c"}
    assert since(minutes=3, seconds=1) == set()


def test_callbacks_are_dropped_after_a_day_and_above_ten_thousand(tmp_path: Path) -> None:
    table = GatewayTable(tmp_path / "table.sqlite")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    table.add_callback("old", lambda: start)
    with table._connection() as connection:
        connection.executemany(
            "INSERT INTO callbacks VALUES (?, ?)",
            [(f"t{n}", (start + timedelta(hours=1, seconds=n)).timestamp()) for n in range(CALLBACKS_KEPT)],
        )
    table.add_callback("new", lambda: start + timedelta(hours=24, seconds=1))
    found = noted(table)
    assert len(found) == CALLBACKS_KEPT
    assert {"old", "t0"}.isdisjoint(found)
    assert {"new", "t1"} <= found


def test_a_table_that_cannot_be_used_is_a_hosting_error(tmp_path: Path) -> None:
    (tmp_path / "table.sqlite").write_bytes(b"not a database, only text" * 10)
    with pytest.raises(HostingError, match=r"table\.sqlite cannot be used"):
        GatewayTable(tmp_path / "table.sqlite")


async def named(gateway: Gateway, task_id: str) -> None:
    assert await post(gateway, json.dumps({"id": task_id, "status": "processing"})) == (200, b"{}")


async def in_wait(gateway: Gateway, task_id: str) -> asyncio.Task[None]:
    """Start to wait, and return when nothing is left to do but to wait for the callback."""
    waiting = asyncio.create_task(gateway.wait_for_callback(task_id))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    return waiting


@pytest.fixture
async def waiting_gateway(
    make_settings: Callable[..., Settings], free_port: int, clock: Any
) -> AsyncIterator[Gateway]:
    """Listen without a webhook secret, by a clock on which a sleep is short."""
    gateway = Gateway(make_settings(public_url=f"http://127.0.0.1:{free_port}"), clock)
    await gateway.ensure_running()
    yield gateway
    await gateway.stop()


async def test_a_callback_ends_the_wait_for_its_task_alone(waiting_gateway: Gateway) -> None:
    waiting = await in_wait(waiting_gateway, "mine")
    other = await in_wait(waiting_gateway, "other")
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting, 60)
    assert not other.done()
    other.cancel()


async def test_everybody_who_waits_for_a_task_hears_of_its_callback(waiting_gateway: Gateway) -> None:
    waiting = [await in_wait(waiting_gateway, "mine") for _ in range(3)]
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(asyncio.gather(*waiting), 60)


async def test_one_who_gives_up_takes_nothing_from_the_others(waiting_gateway: Gateway) -> None:
    gone, waiting = await in_wait(waiting_gateway, "mine"), await in_wait(waiting_gateway, "mine")
    gone.cancel()
    await asyncio.wait({gone})
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting, 60)
    assert not waiting_gateway._callbacks._waiting


async def test_the_process_that_serves_does_not_read_the_table_while_it_waits(
    waiting_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await in_wait(waiting_gateway, "mine")

    def never(*_: object) -> bool:
        raise AssertionError("the table was read")

    monkeypatch.setattr(GatewayTable, "was_called_back", never)
    await asyncio.sleep(0.1)
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting, 60)


async def test_a_callback_of_the_last_second_ends_a_wait_and_an_older_one_does_not(
    waiting_gateway: Gateway, clock: Any
) -> None:
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting_gateway.wait_for_callback("mine"), 60)
    clock.ahead += timedelta(seconds=2)
    waiting = await in_wait(waiting_gateway, "mine")
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting, 60)


async def test_a_wait_lasts_a_second_even_in_a_flood(waiting_gateway: Gateway, clock: Any) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock.sleep = sleep
    await named(waiting_gateway, "mine")
    for _ in range(3):
        await waiting_gateway.wait_for_callback("mine")
    assert slept == [1.0, 1.0, 1.0]


async def test_a_callback_that_another_process_takes_ends_the_wait_too(
    waiting_gateway: Gateway, settings: Settings, clock: Any
) -> None:
    beside = Gateway(settings, clock)
    await beside.ensure_running()
    assert not beside.serving
    waiting = await in_wait(beside, "mine")
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting, 60)


async def test_a_wait_goes_on_when_its_process_takes_over(
    waiting_gateway: Gateway, settings: Settings, clock: Any
) -> None:
    beside = Gateway(settings, clock)
    waiting = await in_wait(beside, "mine")
    await waiting_gateway.stop()
    await beside.ensure_running()
    assert beside.serving
    await named(beside, "mine")
    await asyncio.wait_for(waiting, 60)
    await beside.stop()


async def test_a_table_that_cannot_be_read_ends_no_wait(
    waiting_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise HostingError("The gateway's table cannot be used.")

    with monkeypatch.context() as patch:
        patch.setattr(GatewayTable, "was_called_back", broken)
        waiting = await in_wait(waiting_gateway, "mine")
    await named(waiting_gateway, "mine")
    await asyncio.wait_for(waiting, 60)
