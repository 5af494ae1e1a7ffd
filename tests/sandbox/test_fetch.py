"""Where reference files may come from."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from PIL import Image

from kling_once.sandbox import Sandbox, SandboxOptions
from kling_once.sandbox.guard import Forbidden, Guard
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """Serve a folder and a few kinds of trouble."""
    application = web.Application()

    async def trouble(request: web.Request) -> web.StreamResponse:
        match request.match_info["kind"]:
            case "missing":
                return web.Response(status=404)
            case "moved":
                return web.Response(status=302, headers={"Location": request.query["to"]})
            case "forever":
                response = web.StreamResponse()
                await response.prepare(request)
                try:
                    while True:
                        await response.write(bytes(1 << 20))
                except ConnectionError:
                    return response
        return web.Response(text="<html>login</html>", content_type="text/html")

    application.router.add_get("/trouble/{kind}", trouble)
    application.router.add_static("/files", folder)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_another_url_is_refused_in_words(start: Any) -> None:
    bench = await start(embedded=True)
    for name in ("video_url", "image_url"):
        answer = await bench.create(**{name: "https://example.org/sandbox/files/x.mp4"})
        assert (answer.status, answer.code) == (400, 1201)
        assert name in answer.message
        assert "own uploads" in answer.message


async def test_an_upload_is_known_whatever_port_its_url_names(start: Any) -> None:
    bench = await start(embedded=True)
    path = bench.fields["video_url"].rpartition("/sandbox/")[2]
    answer = await bench.create(video_url=f"http://127.0.0.1:{free_port()}/sandbox/{path}")
    assert answer.status == 200


async def test_any_url_is_fetched_when_asked_to(start: Any, bunny: Path, tmp_path: Path, encode: Any) -> None:
    bench = await start(fetch="any")
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (400, 400)), "PNG"))
    shutil.copy(bunny, tmp_path / "b.mp4")
    async with serving(tmp_path) as origin:
        answer = await bench.create(
            image_url=f"{origin}/files/a.png",
            video_url=f"{origin}/trouble/moved?to={origin}/files/b.mp4",
        )
        assert answer.status == 200, answer
    data = (await bench.get(answer.data["task_id"])).data
    assert (await bench.call("GET", data["task_result"]["videos"][0]["url"])).status == 200


async def test_an_unreachable_url_is_1201_in_words(start: Any, tmp_path: Path) -> None:
    bench = await start(fetch="any")
    async with serving(tmp_path) as origin:
        for url, words in {
            f"{origin}/trouble/missing": "HTTP 404",
            f"{origin}/trouble/html": "format is invalid",
            f"{origin}/trouble/forever": "100 MB",
            f"{origin}/trouble/moved?to=file:///etc/passwd": "cannot be fetched",
            f"{origin}/trouble/moved?to={origin}/trouble/missing": "HTTP 404",
            f"http://127.0.0.1:{free_port()}/a.mp4": "cannot be fetched",
            "http://no-such-host.invalid/a.mp4": "cannot be fetched",
        }.items():
            answer = await bench.create(video_url=url)
            assert (answer.status, answer.code) == (400, 1201), url
            assert answer.message.startswith("video_url: "), url
            assert words in answer.message, url


async def test_a_guarded_sandbox_fetches_what_this_machine_serves(
    start: Any, bunny: Path, tmp_path: Path
) -> None:
    bench = await start(embedded=True, fetch="guarded")
    shutil.copy(bunny, tmp_path / "b.mp4")
    async with serving(tmp_path) as origin:
        for url in (f"{origin}/files/b.mp4", f"{origin}/trouble/moved?to={origin}/files/b.mp4"):
            answer = await bench.create(video_url=url)
            assert answer.status == 200, answer


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "URL"),
        ("ftp://127.0.0.1/a.mp4", "URL"),
        ("http://clips.example.com/a.mp4", "must begin with https://"),
        ("https://10.0.0.7/a.mp4", "private address"),
        ("https://192.168.1.20/a.mp4", "private address"),
        ("https://169.254.169.254/latest/meta-data", "private address"),
        ("https://[fd00::1]/a.mp4", "private address"),
        ("https://[::ffff:10.0.0.7]/a.mp4", "private address"),
        ("https://0.0.0.0/a.mp4", "private address"),
        ("https://inside.example.com/a.mp4", "private address"),
        ("https://rebound.example.com/a.mp4", "private address"),
        ("{origin}/trouble/moved?to=http://10.0.0.7/a.mp4", "must begin with https://"),
        ("{origin}/trouble/moved?to=https://10.0.0.7/a.mp4", "private address"),
        ("{origin}/trouble/moved?to=https://inside.example.com/a.mp4", "private address"),
        ("{origin}/trouble/moved?to=file:///etc/passwd", "must begin with https://"),
    ],
)
async def test_a_guarded_sandbox_is_led_nowhere_inside(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    """Names lead to a private address, and to this machine's."""
    known, really = {"inside.example.com": "10.0.0.7", "rebound.example.com": "127.0.0.1"}, socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: really(known.get(host, host), *rest, **more)
    )
    bench = await start(embedded=True, fetch="guarded")
    async with serving(tmp_path) as origin:
        answer = await bench.create(video_url=url.format(origin=origin))
    assert (answer.status, answer.code) == (400, 1201)
    assert answer.message.startswith("video_url")
    assert words in answer.message


async def test_a_public_url_may_not_lead_to_this_machine() -> None:
    guard = Guard.of("https://clips.example.com/a.mp4")
    for url in ("http://127.0.0.1:8188/view", "http://localhost/a.mp4", "https://[::1]/a.mp4"):
        with pytest.raises(Forbidden):
            guard.check_url(url)
    with pytest.raises(Forbidden):
        guard.check_address(ip_address("127.0.0.1"))
    guard.check_url("https://cdn.example.com/a.mp4")
    guard.check_address(ip_address("93.184.216.34"))
    guard.check_address(ip_address("198.18.0.5"))  # what a local proxy client gives for a public host


async def test_nothing_half_fetched_is_left(start: Any, state: Path, tmp_path: Path) -> None:
    bench = await start(fetch="any")
    async with serving(tmp_path) as origin:
        await bench.create(image_url=f"{origin}/trouble/forever")
    assert list((state / "references").glob("*.part")) == []


@pytest.mark.parametrize("days", [29, 31])
async def test_what_nobody_used_for_thirty_days_is_swept_at_start(start: Any, state: Path, days: int) -> None:
    bench = await start()
    (upload,) = (state / "uploads").iterdir()
    then = bench.clock.seconds - days * 86_400
    os.utime(upload, (then, then))
    await bench.sandbox.stop()
    again = Sandbox(SandboxOptions(state_dir=state, now=bench.clock))
    await again.start()
    await again.stop()
    assert upload.exists() is (days == 29)
