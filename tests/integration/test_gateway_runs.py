"""The gateway behind a tunnel: what the vendor can fetch, what nobody can, and what callbacks change."""

from __future__ import annotations

import http.client
import http.server
import json
import signal
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

from kling_once.errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLOW_POLLS = 300.0
"""Seconds between two looks: a run that ends within a test was woken by a callback."""


@pytest.fixture
def ask(gateway_port: int) -> Callable[..., tuple[int, bytes, Any]]:
    """Return a request of a path as it is, at the gateway's own port."""

    def ask(
        path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", gateway_port, timeout=10)
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            for one in value.split("\n"):
                connection.putheader(name, one)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = answer.status, answer.read(), answer.headers
        connection.close()
        return found

    return ask


@pytest.fixture
def served(
    vendor: Any, tunnel: Any, engines: Callable[..., Any], live_order: Callable[..., Any], clock: Any
) -> str:
    """The path of a link that the vendor was given and has fetched; the engine that serves it runs on."""
    engines(clock).run(live_order()).result()
    (create,) = vendor.creates()
    assert create["status"] == 200
    return urlsplit(create["body"]["video_url"]).path


def test_a_link_that_the_vendor_was_given_works_by_range(
    served: str, ask: Callable[..., Any], small_clip: Path
) -> None:
    clip = small_clip.read_bytes()
    status, body, headers = ask(served, headers={"Range": "bytes=100-199"})
    assert (status, body) == (206, clip[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(clip)}"
    assert ask(served, headers={"Range": f"bytes={len(clip)}-"})[0] == 416
    assert ask(served)[:2] == (200, clip)


def test_nothing_but_a_link_that_we_signed_opens_anything(served: str, ask: Callable[..., Any]) -> None:
    changed = served[:20] + ("A" if served[20] != "A" else "B") + served[21:]
    for path in (
        "/",
        "/ko/",
        "/ko/../gateway/secret",
        f"/ko/..{served}",
        "/ko/%2e%2e/table.sqlite",
        "/view?filename=x.png",
        served.upper(),
        changed,
        f"{served}?x=1",
        f"/ko/{'a' * 64}.mp4",
    ):
        status, body, _headers = ask(path)
        assert (status in {400, 403, 404}, body) == (True, b""), path


def test_a_second_host_header_is_refused(served: str, ask: Callable[..., Any]) -> None:
    assert ask(served, headers={"Host": "127.0.0.1\nexample.com"})[0] == 400
    assert ask(served, headers={"Host": "clips.example.com"})[0] == 200


def test_a_link_ends_with_its_time(served: str, ask: Callable[..., Any], clock: Any) -> None:
    clock.ahead = timedelta(minutes=60)
    assert ask(served)[0] == 200
    clock.ahead = timedelta(minutes=62)
    assert ask(served)[0] == 403


def test_a_tunnel_that_is_down_before_the_submit_means_no_create_and_one_line_names_it(
    vendor: Any, tunnel: Any, engines: Callable[..., Any], live_order: Callable[..., Any]
) -> None:
    engine = engines()
    tunnel.down()
    with pytest.raises(HostingError) as caught:
        engine.run(live_order()).result()
    assert str(caught.value).count("\n") == 0
    assert "the tunnel or proxy at 127.0.0.1: connection refused" in caught.value.message
    assert "Start the tunnel" in caught.value.hint
    assert vendor.creates() == []

    tunnel.up()
    engine.run(live_order()).result()
    assert len(vendor.creates()) == 1


def test_a_tunnel_that_goes_down_and_up_during_the_task_does_no_harm(
    vendor: Any,
    tunnel: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    vendor.move(policy="seconds", seconds=600)
    run = engines().run(live_order())
    task_id = eventually(vendor.task_id, "the create")
    tunnel.down()
    seen = vendor.looks(task_id)
    eventually(lambda: vendor.looks(task_id) > seen + 3, "looks without a tunnel")
    tunnel.up()
    vendor.move(policy="at once")
    assert run.result().path.is_file()
    assert len(vendor.creates()) == 1


def test_two_processes_share_one_gateway_and_the_second_takes_over_when_the_first_is_killed(
    vendor: Any,
    tunnel: Any,
    gateway_port: int,
    command: Callable[..., Any],
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
) -> None:
    alone = command("gateway")
    assert alone.line() == f"Kling Once gateway: {tunnel.url} -> http://127.0.0.1:{gateway_port}"
    engine = engines()
    engine.run(live_order(take=0)).result()
    alone.kill()
    engine.run(live_order(take=1)).result()
    assert [create["status"] for create in vendor.creates()] == [200, 200]


def test_the_gateway_alone_serves_what_another_process_gave_to_the_vendor(
    vendor: Any,
    tunnel: Any,
    command: Callable[..., Any],
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    ask: Callable[..., Any],
    small_clip: Path,
) -> None:
    engine = engines()
    engine.run(live_order()).result()
    engine.close()
    (create,) = vendor.creates()
    link = urlsplit(create["body"]["video_url"]).path
    with pytest.raises(ConnectionRefusedError):
        ask(link)
    alone = command("gateway")
    assert alone.line()
    assert ask(link)[:2] == (200, small_clip.read_bytes())
    alone.signal(signal.SIGTERM)
    assert alone.end().code == 0


def test_the_gateway_alone_says_where_it_is_in_one_object(
    tunnel: Any, gateway_port: int, command: Callable[..., Any]
) -> None:
    alone = command("gateway", "--json")
    lines = [alone.line()]
    while lines[-1] != "}":
        lines.append(alone.line())
    assert json.loads("".join(lines)) == {"url": tunnel.url, "port": gateway_port, "serving": True}
    alone.signal(signal.SIGTERM)
    assert alone.end().out.splitlines() == lines


def test_a_port_that_another_program_holds_means_no_create_and_is_named(
    vendor: Any,
    tunnel: Any,
    gateway_port: int,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
) -> None:
    other = http.server.ThreadingHTTPServer(("127.0.0.1", gateway_port), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        with pytest.raises(HostingError) as caught:
            engines().run(live_order()).result()
    finally:
        other.shutdown()
        other.server_close()
    assert f"Port {gateway_port} is used by another program" in caught.value.message
    assert "KLING_ONCE_GATEWAY_PORT" in caught.value.hint
    assert vendor.creates() == []


def test_a_callback_ends_the_pause_between_two_looks(
    vendor: Any, tunnel: Any, engines: Callable[..., Any], live_order: Callable[..., Any]
) -> None:
    vendor.move(policy="seconds", seconds=1)
    engine = engines(poll_seconds=SLOW_POLLS, webhook_secret=vendor.callback_secret)
    engine.run(live_order()).result(timeout=30)
    (create,) = vendor.creates()
    assert create["body"]["callback_url"].startswith(f"{tunnel.url}/ko/callback/")


@dataclass
class Callbacks:
    """Callbacks that were believed, as the home's table keeps them."""

    path: Path

    def of(self, task_id: str) -> float | None:
        with closing(sqlite3.connect(self.path)) as table:
            row = table.execute("SELECT at FROM callbacks WHERE task_id = ?", (task_id,)).fetchone()
        return row[0] if row else None


@pytest.fixture
def callbacks(home: Path) -> Callbacks:
    return Callbacks(home / "gateway" / "table.sqlite")


def test_a_forged_or_malformed_callback_changes_nothing_and_a_genuine_one_is_a_look(
    vendor: Any,
    tunnel: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    eventually: Callable[..., Any],
    ask: Callable[..., Any],
    callbacks: Callbacks,
) -> None:
    vendor.move(policy="seconds", seconds=600)
    engine = engines(poll_seconds=SLOW_POLLS, webhook_secret=vendor.callback_secret)
    run = engine.run(live_order())
    task_id = eventually(vendor.task_id, "the create")
    path = urlsplit(vendor.creates()[0]["body"]["callback_url"]).path
    eventually(lambda: callbacks.of(task_id), "the vendor's own callback")
    before = callbacks.of(task_id)

    body = json.dumps({"task_id": task_id, "task_status": "succeed"}).encode()
    signed = signed_headers(vendor.callback_secret, body)
    forged = signed_headers("whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBvZiAzMiBieXRlcw==", body)
    for status, at, content, headers in (
        (401, path, body, {}),
        (401, path, body, forged),
        (401, path, body + b" ", signed),
        (401, path, b"\xff\xfe", signed),
        (400, path, b"[]", signed_headers(vendor.callback_secret, b"[]")),
        (401, path, b"{", signed_headers(vendor.callback_secret, b"{")),
        (413, path, b"x" * 65_537, signed),
        (404, path[:-1] + ("0" if path[-1] != "0" else "1"), body, signed),
    ):
        assert ask(at, "POST", content, headers)[0] == status
    assert callbacks.of(task_id) == before

    seen = vendor.looks(task_id)
    assert ask(path, "POST", body, signed)[0] == 200
    assert callbacks.of(task_id) != before
    eventually(lambda: vendor.looks(task_id) > seen, "the look after a genuine callback")
    assert not run.done()


def test_a_flood_of_callbacks_that_claim_success_is_no_more_than_a_look_a_second(
    vendor: Any,
    tunnel: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    eventually: Callable[..., Any],
    ask: Callable[..., Any],
) -> None:
    vendor.move(policy="seconds", seconds=600)
    run = engines(poll_seconds=SLOW_POLLS).run(live_order())
    task_id = eventually(vendor.task_id, "the create")
    path = urlsplit(vendor.creates()[0]["body"]["callback_url"]).path
    began, seen = time.monotonic(), vendor.looks(task_id)
    body = json.dumps({"task_id": task_id, "task_status": "succeed"}).encode()
    for _ in range(100):
        assert ask(path, "POST", body)[0] == 200
    eventually(lambda: vendor.looks(task_id) > seen + 1, "looks")
    assert vendor.looks(task_id) - seen <= time.monotonic() - began + 2
    assert not run.done()
    vendor.move(policy="at once")
    assert ask(path, "POST", body)[0] == 200
    assert run.result(timeout=30).path.is_file()


def signed_headers(secret: str, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks, made by its own library."""
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("msg_1", now, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


def test_a_gateway_folder_that_cannot_be_locked_keeps_no_kept_result_away(
    vendor: Any,
    tunnel: Any,
    clock: Any,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    home: Path,
) -> None:
    engine = engines(clock)
    engine.run(live_order()).result()
    clock.ahead = timedelta(hours=2)
    (home / "gateway" / "files.lock").unlink(missing_ok=True)
    (home / "gateway" / "files.lock").mkdir()
    assert engine.run(live_order()).result().reused
