"""A clock that jumps, servers that say what they are told, and a sandbox over TCP."""

from __future__ import annotations

import asyncio
import base64
import io
import ipaddress
import os
import socket
import ssl
import threading
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from kling_once.accounts.accounts import ApiKey
from kling_once.api.client import KlingClient
from kling_once.api.download import Download, DownloadPolicy
from kling_once.sandbox import Sandbox, SandboxOptions, Transitions
from tests.create_request import create_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from kling_once.api.models import CreateRequest

FROM_LOOPBACK = DownloadPolicy(loopback_allowed=True)
API_KEY = "api-key-of-the-tests-0123456789abcdef"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


class FakeClock:
    """Time that passes only when somebody sleeps or the test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
        self.slept: list[float] = []
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self.moment += timedelta(seconds=seconds)


class Server:
    """An HTTP server on loopback that answers with what a function returns, and remembers the requests."""

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.origin = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self._handler(request)

    @property
    def authorizations(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Start servers; a handler may be a coroutine function or a finished answer as keyword arguments."""
    async with AsyncExitStack() as stack:

        async def start(handler: Any = None, **fixed: Any) -> Server:
            async def say(_request: web.Request) -> web.StreamResponse:
                return web.Response(**fixed)

            server = Server(handler or say)
            application = web.Application(client_max_size=64_000_000)
            application.add_routes([web.route("*", "/{tail:.*}", server.answer)])
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            server.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return server

        yield start


@pytest.fixture
async def serve_raw() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Start TCP servers that read one request's head, write some bytes and hang up."""
    async with AsyncExitStack() as stack:

        async def start(*answers: bytes) -> str:
            left = list(answers)

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(left.pop(0) if len(left) > 1 else left[0])
                    await writer.drain()
                finally:
                    writer.close()

            server = await asyncio.start_server(talk, "127.0.0.1", 0)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a key and a certificate of 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    encoded = key.private_bytes(serialization.Encoding.PEM, *private)
    path.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def broken_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], str]]:
    """Start servers whose TLS stands, that answer some bytes, and then send a record that no key opens."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk(answer: bytes) -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    secured = context.wrap_socket(connection, server_side=True)
                    secured.recv(65536)
                    secured.sendall(answer)
                    with socket.socket(fileno=secured.detach()) as bare:
                        bare.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
                        bare.shutdown(socket.SHUT_WR)
                        bare.recv(65536)

        def start(answer: bytes = b"") -> str:
            threading.Thread(target=talk, args=[answer], daemon=True).start()
            return f"https://127.0.0.1:{listener.getsockname()[1]}"

        yield start
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "result.part"


@pytest.fixture
def download(part: Path, clock: FakeClock) -> Callable[..., Download]:
    """Return a maker of downloads into `part`."""

    def make(policy: DownloadPolicy = FROM_LOOPBACK, **options: Any) -> Download:
        return Download(part, policy, clock, **options)

    return make


@pytest.fixture
async def connect(clock: FakeClock) -> AsyncIterator[Callable[..., Awaitable[KlingClient]]]:
    """Open clients: `await connect(origin, credential)`."""
    async with AsyncExitStack() as stack:

        async def open_client(origin: str, credential: Any = None, **options: Any) -> KlingClient:
            chosen = credential or ApiKey(API_KEY)
            connection = KlingClient.connect(origin, chosen, options.pop("clock", clock), **options)
            return await stack.enter_async_context(connection)

        yield open_client


@pytest.fixture
async def start_sandbox(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Sandbox]]]:
    """Start sandboxes that move on at once and are never full."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Sandbox:
            chosen = {
                "state_dir": tmp_path / "sandbox-state",
                "transitions": Transitions.at_once(),
                "quick_results": True,
                "parallel_limit": 100,
                "fetch": "any",
            } | options
            return await stack.enter_async_context(Sandbox(SandboxOptions(**chosen)))

        yield start


@pytest.fixture(scope="session")
def image_text() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 400), "teal").save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def request_of(image_text: str) -> Callable[..., CreateRequest]:
    """Form a create whose clip nobody has to fetch."""

    def form(**changes: Any) -> CreateRequest:
        fields: dict[str, Any] = {
            "image_url": image_text,
            "video_url": "https://clips.example/motion.mp4",
            "character_orientation": "video",
            "mode": "std",
        }
        return create_request(**(fields | changes))

    return form
