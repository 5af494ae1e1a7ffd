"""A result arrives whole, or is gone on with; its size is bounded and its link told to nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.api.download import Download, DownloadPolicy, LinkExpired
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


def begin(part: Path, content: bytes) -> None:
    part.write_bytes(content)


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
        await Download(tmp_path, DownloadPolicy(loopback_allowed=True), clock).fetch(link(await serve(whole)))


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


async def test_the_debug_log_of_a_download_has_no_link(
    serve: Any, download: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(whole)
    with caplog.at_level(logging.DEBUG):
        await download().fetch(link(server))
    assert "geheim" not in caplog.text
    assert "result.mp4" not in caplog.text
