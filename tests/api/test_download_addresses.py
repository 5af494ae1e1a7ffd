"""Where a result may be fetched from: its link is untrusted, and so is every redirect."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.api.download import DownloadPolicy
from kling_once.errors import DownloadBroken, DownloadRefused
from tests.api.result_host import (
    CONTENT,
    content_of,
    link,
    ranged,
    whole,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "url",
    [
        "ftp://cdn.example/v.mp4",
        "file:///etc/passwd",
        "http://cdn.example/v.mp4",
        "http://127.0.0.1.cdn.example/v.mp4",
        "https:///v.mp4",
        "https://user@cdn.example/v.mp4",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "",
        "v.mp4",
        "https://[::1/v.mp4",
        "https://cdn.example:port/v.mp4",
        "https://cdn\x00.example/v.mp4",
        "https://" + "ü" * 100 + ".example/v.mp4",
    ],
)
async def test_an_address_that_is_not_plain_https_is_refused(download: Any, url: str) -> None:
    with pytest.raises((DownloadRefused, DownloadBroken)) as caught:
        await download().fetch(url)
    assert "v.mp4" not in str(caught.value)


async def test_plain_http_and_loopback_are_for_a_sandbox_alone(serve: Any, download: Any) -> None:
    server = await serve(whole)
    with pytest.raises(DownloadRefused, match="not an https link"):
        await download(DownloadPolicy(loopback_allowed=False)).fetch(link(server))
    assert server.requests == []


@pytest.fixture
def listener() -> Any:
    """Listen on loopback as a private address does; tell whether anybody sent anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


async def test_a_host_name_that_leads_to_a_private_address_is_refused_before_anything_is_sent(
    download: Any, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(DownloadRefused, match=r"leads to the private address") as caught:
        await download(DownloadPolicy(loopback_allowed=False)).fetch(f"https://localhost:{port}/v.mp4")
    assert "KLING_ONCE_ALLOW_HOSTS=localhost" in caught.value.hint
    connection, _ = await asyncio.to_thread(listener.accept)
    with connection:
        connection.settimeout(5)
        assert await asyncio.to_thread(connection.recv, 100) == b"", "not even a TLS hello"


async def test_a_host_that_the_operator_trusts_may_be_private(download: Any, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    policy = DownloadPolicy(loopback_allowed=False, allowed_hosts=("localhost",))

    async def greet() -> bytes:
        connection, _ = await asyncio.to_thread(listener.accept)
        with connection:
            return await asyncio.to_thread(connection.recv, 1)

    fetching = asyncio.create_task(download(policy).fetch(f"https://localhost:{port}/v.mp4"))
    assert await greet() == b"\x16", "TLS begins"
    fetching.cancel()
    with pytest.raises((asyncio.CancelledError, DownloadBroken)):
        await fetching


@pytest.mark.parametrize(
    "target", ["https://10.0.0.1/v.mp4", "http://10.0.0.1/v.mp4", "http://[fd00::1]/", "ftp://cdn.example/"]
)
async def test_a_redirect_is_checked_like_the_link_itself(
    serve: Any, download: Any, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kling_once.api.download.TIMEOUT", 0.3)
    server = await serve(status=302, headers={"Location": target})
    with pytest.raises((DownloadRefused, DownloadBroken)):
        await download().fetch(link(server))


async def test_a_redirect_to_a_private_address_is_refused(serve: Any, download: Any, tls: Any) -> None:
    server = await serve(status=302, headers={"Location": f"https://127.0.0.1:{tls}/v.mp4"})
    policy = DownloadPolicy(loopback_allowed=True)
    with pytest.raises(DownloadBroken):
        await download(policy).fetch(link(server))


@pytest.fixture
async def tls() -> Any:
    """Listen with TLS that nobody can trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_redirects_are_followed_a_few_times(serve: Any, download: Any, part: Path) -> None:
    async def hop(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("n", 0))
        return (
            ranged(request)
            if number == 5
            else web.Response(status=302, headers={"Location": f"/r?n={number + 1}"})
        )

    server = await serve(hop)
    await download().fetch(link(server, "/r"))
    assert content_of(part) == CONTENT


async def test_a_redirect_to_nowhere_is_an_answer_like_any_other_that_is_none(
    serve: Any, download: Any
) -> None:
    server = await serve(status=302)
    with pytest.raises(DownloadBroken, match="HTTP 302"):
        await download().fetch(link(server))


async def test_redirects_in_a_circle_are_refused(serve: Any, download: Any) -> None:
    server = await serve(status=302, headers={"Location": "/again"})
    with pytest.raises(DownloadRefused, match="redirected more than 5 times"):
        await download().fetch(link(server))
    assert len(server.requests) == 6


@pytest.mark.parametrize("location", ["http://[::1", "https://cdn.example:port/", "//[", "http://\x7f/"])
async def test_a_redirect_to_nonsense_is_refused(serve_raw: Any, download: Any, location: str) -> None:
    origin = await serve_raw(
        f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    with pytest.raises((DownloadRefused, DownloadBroken)):
        await download().fetch(origin + "/v.mp4")


async def test_a_download_through_the_environments_proxy_leaves_the_address_check_to_it(
    download: Any, monkeypatch: pytest.MonkeyPatch, serve_raw: Any
) -> None:
    proxy = await serve_raw(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(DownloadBroken, match="ProxyError"):
        await download(DownloadPolicy(loopback_allowed=False)).fetch("https://cdn.example/v.mp4")
