"""Real parts: moto's S3 server, a gateway, a tunnel that can go down, a second process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yarl
from aiohttp import web
from blake3 import blake3

import kling_once
from kling_once.hosting.gateway import Gateway
from kling_once.hosting.media_host import HostedFile
from kling_once.settings import Settings
from tests import ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

SOURCE_FOLDER = Path(kling_once.__file__).parents[1]


@dataclass
class MovableClock:
    """The wall clock, which a test may move; sleeping yields and nothing more."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0.02)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., HostedFile]:
    """Return a maker of files that no compression and no repetition can hide."""

    def make(size_bytes: int = 300_000, name: str = "clip.mp4", seed: int = 1) -> HostedFile:
        data = blake3(seed.to_bytes(4)).digest(length=size_bytes)
        path = tmp_path / name
        path.write_bytes(data)
        return HostedFile(path, blake3(data).hexdigest(), size_bytes)

    return make


@pytest.fixture
def make_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int) -> Callable[..., Settings]:
    for name in list(os.environ):
        if name.startswith(("KLING_ONCE_", "KLINGAI_")):
            monkeypatch.delenv(name)

    def make(**values: object) -> Settings:
        known = {"home": tmp_path / "home", "gateway_port": free_port, **values}
        return Settings(**known)  # pyright: ignore[reportArgumentType] - pydantic checks them

    return make


@dataclass
class Tunnel:
    """A reverse proxy on loopback before the gateway, as people use it; every hop of it can be broken."""

    target_port: int
    runner: web.AppRunner | None = None
    port: int = 0
    change: Callable[[web.Request], web.StreamResponse | None] = lambda _request: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def down(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        changed = self.change(request)
        if changed is not None:
            return changed
        target = yarl.URL(f"http://127.0.0.1:{self.target_port}{request.raw_path}", encoded=True)
        headers = {
            key: value for key, value in request.headers.items() if key in {"Range", "Content-Type"}
        } | {key: value for key, value in request.headers.items() if key.lower().startswith("webhook-")}
        try:
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.request(request.method, target, headers=headers, data=await request.read()) as answer,
            ):
                names = {"Content-Range", "Content-Type"}
                kept = {key: value for key, value in answer.headers.items() if key in names}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except aiohttp.ClientError:
            return web.Response(status=502, text="bad gateway")


@pytest.fixture
async def tunnel(free_port: int) -> AsyncIterator[Tunnel]:
    tunnel = Tunnel(free_port)
    await tunnel.up()
    yield tunnel
    await tunnel.down()


@pytest.fixture
def run_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a second process of the same home; whatever still runs is ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCE_FOLDER),
                "KLING_ONCE_HOME": str(tmp_path / "home"),
                **environment,
            },
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def settings(make_settings: Callable[..., Settings], free_port: int) -> Settings:
    return make_settings(public_url=f"http://127.0.0.1:{free_port}")


@pytest.fixture
async def gateway(settings: Settings, clock: MovableClock) -> AsyncIterator[Gateway]:
    gateway = Gateway(settings, clock)
    await gateway.ensure_running()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def clip_url(gateway: Gateway, make_clip: Callable[..., HostedFile]) -> str:
    return await gateway.sign(await gateway.publish(make_clip()), 60)


@pytest.fixture
def fetch() -> Callable[..., Awaitable[tuple[int, bytes, dict[str, str]]]]:
    """Return a request that gives status, body and headers, its address sent as it is."""

    async def fetch(
        url: str, method: str = "GET", data: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, yarl.URL(url, encoded=True), headers=headers, data=data) as answer,
        ):
            return answer.status, await answer.read(), dict(answer.headers)

    return fetch


@pytest.fixture
def raw() -> Callable[[int, str], Awaitable[str]]:
    """Return a sender of bytes as no client library would send them; it gives the first line back."""

    async def raw(port: int, request: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode("latin-1"))
        line = await asyncio.wait_for(reader.readline(), 60)
        writer.close()
        await writer.wait_closed()
        return line.decode().strip()

    return raw


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the store's usual variables and return a plain botocore client with an empty bucket."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "not/a+real=secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto_session = pytest.importorskip("botocore.session")
    client = boto_session.get_session().create_client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="clips")
    for item in client.list_objects_v2(Bucket="clips").get("Contents", []):
        client.delete_object(Bucket="clips", Key=item["Key"])
    return client
