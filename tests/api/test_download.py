"""Results are fetched as what they are: untrusted."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_direct.api.download import Download, DownloadPolicy, LinkExpired
from kling_direct.errors import DownloadBroken, DownloadRefused

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 4000
HERE = DownloadPolicy(loopback_allowed=True)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "result.part"


@pytest.fixture
def download(part: Path, clock: Any) -> Any:
    def make(policy: DownloadPolicy = HERE, **options: Any) -> Download:
        return Download(part, policy, clock, **options)

    return make


def content_of(part: Path) -> bytes | None:
    return part.read_bytes() if part.exists() else None


def begin(part: Path, content: bytes) -> None:
    part.write_bytes(content)


def ranged(request: web.Request, content: bytes = CONTENT) -> web.Response:
    """Answer as a CDN does."""
    asked = request.headers.get("Range")
    if asked is None:
        return web.Response(body=content)
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(content):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    described = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
    return web.Response(status=206, body=content[start:], headers=described)


async def whole(request: web.Request) -> web.StreamResponse:
    return ranged(request)


def link(server: Any, path: str = "/result.mp4?sig=geheim") -> str:
    return server.origin + path


async def test_a_result_arrives_whole_and_progress_is_told(serve: Any, download: Any, part: Path) -> None:
    server = await serve(whole)
    told: list[tuple[int, int | None]] = []
    await download(on_bytes=lambda done, total: told.append((done, total))).fetch(link(server))
    assert content_of(part) == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


async def test_no_credential_cookie_or_compression_is_asked_for(serve: Any, download: Any) -> None:
    server = await serve(whole)
    await download().fetch(link(server))
    headers = server.requests[0].headers
    assert "Authorization" not in headers
    assert "Cookie" not in headers
    assert headers["Accept-Encoding"] == "identity"


async def test_a_download_goes_on_where_it_broke_off(serve: Any, download: Any, part: Path) -> None:
    async def breaks_once(request: web.Request) -> web.StreamResponse:
        if "Range" in request.headers:
            return ranged(request)
        response = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
        await response.prepare(request)
        await response.write(CONTENT[:500_000])
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.close()
        return response

    server = await serve(breaks_once)
    await download().fetch(link(server))
    assert content_of(part) == CONTENT
    assert [request.headers.get("Range") for request in server.requests] == [None, "bytes=500000-"]


async def test_a_part_of_an_earlier_run_is_gone_on_with(serve: Any, download: Any, part: Path) -> None:
    begin(part, CONTENT[:1000])
    server = await serve(whole)
    await download().fetch(link(server))
    assert content_of(part) == CONTENT
    assert server.requests[0].headers["Range"] == "bytes=1000-"


async def test_a_host_that_ignores_the_range_is_written_from_the_start(
    serve: Any, download: Any, part: Path
) -> None:
    begin(part, b"x" * 5000)
    server = await serve(body=CONTENT)
    await download().fetch(link(server))
    assert content_of(part) == CONTENT


async def test_a_host_that_answers_a_range_from_the_start_is_written_from_the_start(
    serve: Any, download: Any, part: Path
) -> None:
    begin(part, b"x" * 5000)
    described = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
    server = await serve(status=206, body=CONTENT, headers=described)
    await download().fetch(link(server))
    assert content_of(part) == CONTENT


async def test_a_part_that_is_longer_than_the_result_is_thrown_away(
    serve: Any, download: Any, part: Path
) -> None:
    begin(part, b"x" * (len(CONTENT) + 5))
    server = await serve(whole)
    await download().fetch(link(server))
    assert content_of(part) == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "content_range", ["bytes 7-9/10", "bytes */10", "nonsense", "", "bytes " + "9" * 5000 + "-9/9"]
)
async def test_another_part_than_was_asked_for_is_never_glued_on(
    serve: Any, download: Any, part: Path, content_range: str
) -> None:
    begin(part, CONTENT[:1000])
    server = await serve(status=206, body=b"xyz", headers={"Content-Range": content_range})
    with pytest.raises(DownloadBroken, match="another part"):
        await download().fetch(link(server))
    assert content_of(part) == CONTENT[:1000]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_link_that_is_refused_asks_for_a_new_one_at_once(
    serve: Any, download: Any, status: int, clock: Any
) -> None:
    server = await serve(status=status)
    with pytest.raises(LinkExpired):
        await download().fetch(link(server))
    assert len(server.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize("status", [204, 400, 418, 429, 500, 503])
async def test_any_other_status_is_tried_again_with_growing_pauses_and_then_given_up(
    serve: Any, download: Any, status: int, clock: Any
) -> None:
    server = await serve(status=status)
    with pytest.raises(DownloadBroken) as caught:
        await download().fetch(link(server))
    assert len(server.requests) == 5
    assert clock.slept == [1, 2, 4, 8]
    assert str(status) in caught.value.message
    assert "Nothing is lost" in caught.value.hint


async def test_an_end_that_comes_too_early_is_noticed(serve_raw: Any, download: Any) -> None:
    origin = await serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    with pytest.raises(DownloadBroken):
        await download().fetch(origin + "/result.mp4")


async def test_tls_that_breaks_in_mid_file_is_gone_on_with_and_no_full_disk(
    broken_tls: Any, download: Any, part: Path
) -> None:
    origin = broken_tls(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
    trusted = DownloadPolicy(loopback_allowed=True, allowed_hosts=("127.0.0.1",))
    with pytest.raises(DownloadBroken) as caught:
        await download(trusted).fetch(origin + "/result.mp4?sig=geheim")
    assert "SSLError" in caught.value.message
    assert "geheim" not in str(caught.value)
    assert content_of(part) == b"half of it"


async def test_a_disk_that_cannot_be_written_is_not_blamed_on_the_host(
    serve: Any, tmp_path: Path, clock: Any
) -> None:
    with pytest.raises(IsADirectoryError):
        await Download(tmp_path, HERE, clock).fetch(link(await serve(whole)))


async def test_a_host_that_does_not_answer_is_given_up_without_its_link(
    download: Any, unused_tcp_port: int
) -> None:
    with pytest.raises(DownloadBroken) as caught:
        await download().fetch(f"http://127.0.0.1:{unused_tcp_port}/result.mp4?sig=geheim")
    assert "geheim" not in str(caught.value)


async def test_an_announced_size_above_the_cap_is_refused_before_a_byte_is_written(
    serve: Any, download: Any, part: Path
) -> None:
    server = await serve(body=CONTENT)
    with pytest.raises(DownloadRefused, match="larger than 1,000 bytes"):
        await download(DownloadPolicy(loopback_allowed=True, max_bytes=1000)).fetch(link(server))
    assert content_of(part) is None


async def test_an_endless_stream_is_cut_off_at_the_cap(serve: Any, download: Any, part: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"\0" * 100_000)

    server = await serve(endless)
    with pytest.raises(DownloadRefused, match="larger than 1,000,000 bytes") as caught:
        await download(DownloadPolicy(loopback_allowed=True, max_bytes=1_000_000)).fetch(link(server))
    assert len(content_of(part) or b"") <= 1_000_000
    assert "Nothing is lost" in caught.value.hint


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
    assert "KLING_DIRECT_ALLOW_HOSTS=localhost" in caught.value.hint
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
    monkeypatch.setattr("kling_direct.api.download.TIMEOUT", 0.3)
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


async def test_the_debug_log_of_a_download_has_no_link(
    serve: Any, download: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(whole)
    with caplog.at_level(logging.DEBUG):
        await download().fetch(link(server))
    assert "geheim" not in caplog.text
    assert "result.mp4" not in caplog.text
