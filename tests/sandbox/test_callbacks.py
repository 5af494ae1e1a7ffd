"""Callbacks: at each change, in order, signed, and never in the way."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from kling_once.sandbox import SandboxOptions, Transitions
from kling_once.sandbox.callbacks import Callbacks
from kling_once.sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "whsec_" + base64.b64encode(b"a secret of some thirty-two bytes").decode()


class Receiver:
    """A server that notes what it is called with."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[tuple[bytes, dict[str, str]]] = []
        self.url = ""
        self.changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.raw.append((await request.read(), dict(request.headers)))
        self.bodies.append(await request.json())
        self.changed.set()
        return web.Response(status=500 if "broken" in request.path else 200)

    async def statuses(self, count: int) -> list[str]:
        async with asyncio.timeout(60):
            while len(self.bodies) < count:
                self.changed.clear()
                await self.changed.wait()
        return [body["task_status"] for body in self.bodies]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/{path}", receiver.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def test_each_change_is_called_back_in_order_although_nobody_polls(start: Any) -> None:
    bench = await start()
    async with receiving() as receiver:
        created = await bench.create(callback_url=receiver.url, external_task_id="mine")
        assert await receiver.statuses(3) == ["submitted", "processing", "succeed"]
    last = receiver.bodies[-1]
    assert last["task_id"] == created.data["task_id"]
    assert last["task_info"] == {"external_task_id": "mine"}
    assert last["final_unit_deduction"] == "1.5"
    (video,) = last["task_result"]["videos"]
    assert set(video) == {"id", "url", "duration"}
    assert "code" not in last
    assert (await bench.call("GET", video["url"], headers={"Range": "bytes=0-1"})).status == 206
    assert "webhook-signature" not in {name.lower() for name in receiver.raw[0][1]}


async def test_polls_bring_callbacks_when_polls_move_tasks(start: Any) -> None:
    bench = await start(transitions=Transitions.after_polls(1))
    async with receiving() as receiver:
        identifier = (await bench.create(callback_url=receiver.url)).data["task_id"]
        await bench.get(identifier)
        assert await receiver.statuses(2) == ["submitted", "processing"]
        await bench.get(identifier)
        assert await receiver.statuses(3) == ["submitted", "processing", "succeed"]


async def test_callbacks_are_signed_when_a_secret_is_set(start: Any) -> None:
    bench = await start(callback_secret=SECRET, now=Now())
    async with receiving() as receiver:
        await bench.create(callback_url=receiver.url)
        await receiver.statuses(3)
    identifiers = set()
    for raw, headers in receiver.raw:
        lowered = {name.lower(): value for name, value in headers.items()}
        Webhook(SECRET).verify(raw, lowered)
        identifiers.add(lowered["webhook-id"])
    assert len(identifiers) == 3


class Now:
    """The real time: Standard Webhooks compares with it."""

    def __call__(self) -> float:
        return time.time()


async def test_a_receiver_that_fails_disturbs_nothing(start: Any) -> None:
    bench = await start()
    async with receiving() as receiver:
        data = await bench.finished(callback_url=receiver.url.replace("hook", "broken"))
        assert data["task_status"] == "succeed"
        await receiver.statuses(3)
    data = await bench.finished(callback_url=receiver.url)
    assert data["task_status"] == "succeed"


async def test_embedded_only_named_origins_are_called(start: Any) -> None:
    bench = await start(embedded=True)
    async with receiving() as receiver, receiving() as named:
        bench.sandbox.callback_origins.add(named.url.rpartition("/")[0])
        await bench.finished(callback_url=receiver.url)
        await bench.finished(callback_url=named.url)
        await named.statuses(3)
        assert receiver.bodies == []


@pytest.mark.parametrize(
    ("callbacks", "url", "allowed"),
    [
        ("loopback", "http://127.0.0.1:9/x", True),
        ("loopback", "http://localhost/x", True),
        ("loopback", "http://[::1]:80/x", True),
        ("loopback", "http://127.0.0.1.evil.example/x", False),
        ("loopback", "https://example.org/x", False),
        ("loopback", "http://0.0.0.0/x", False),
        ("loopback", "http://10.0.0.1/x", False),
        ("any", "https://example.org/x", True),
    ],
)
async def test_alone_only_loopback_is_called_unless_any(
    callbacks: Any, url: str, allowed: bool, tmp_path: Path
) -> None:
    options = SandboxOptions(callbacks=callbacks)
    assert Callbacks(options, Store(tmp_path)).allows(url) is allowed


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "c2VjcmV0"])
def test_a_secret_of_another_form_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and base64"):
        SandboxOptions(callback_secret=secret)
