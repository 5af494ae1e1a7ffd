"""Gateway: what it serves, what it refuses, and who serves when there are several."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import stat
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import yarl
from blake3 import blake3

from kling_direct.errors import HostingError
from kling_direct.hosting.gateway import Gateway
from kling_direct.hosting.gateway_place import clean_public_url
from kling_direct.hosting.signed_path import Grant, SignedPaths

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Callable

    from kling_direct.hosting.media_host import HostedFile
    from kling_direct.settings import Settings

SERVE = (
    "from kling_direct.settings import load_settings\n"
    "from kling_direct.hosting.gateway_service import serve_gateway\n"
    "serve_gateway(load_settings())\n"
)


@pytest.fixture
def settings(make_settings: Callable[..., Settings], free_port: int) -> Settings:
    return make_settings(public_url=f"http://127.0.0.1:{free_port}")


@pytest.fixture
async def gateway(settings: Settings, clock: Any) -> AsyncIterator[Gateway]:
    gateway = Gateway(settings, clock)
    await gateway.ensure_running()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def clip_url(gateway: Gateway, make_clip: Callable[..., HostedFile]) -> str:
    return await gateway.sign(await gateway.publish(make_clip()), 60)


async def fetch(
    url: str, method: str = "GET", data: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, yarl.URL(url, encoded=True), headers=headers, data=data) as answer,
    ):
        return answer.status, await answer.read(), dict(answer.headers)


async def raw(port: int, request: str) -> str:
    """Send bytes as they are, which no client library would, and return the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    return line.decode().strip()


# -- what it serves --------------------------------------------------------------------------------------


async def test_a_signed_link_serves_the_whole_clip(
    clip_url: str, make_clip: Callable[..., HostedFile]
) -> None:
    status, body, headers = await fetch(clip_url)
    assert (status, blake3(body).hexdigest()) == (200, make_clip().digest)
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "ython" not in headers["Server"]
    assert urlsplit(clip_url).path.endswith(".mp4")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-99", 0, 99), ("1000-1000", 1000, 1000), ("299000-", 299_000, 299_999), ("-5", 299_995, 299_999)],
)
async def test_a_range_is_served_as_asked(
    clip_url: str, make_clip: Callable[..., HostedFile], asked: str, first: int, last: int
) -> None:
    status, body, headers = await fetch(clip_url, Range=f"bytes={asked}")
    assert status == 206
    assert headers["Content-Range"] == f"bytes {first}-{last}/300000"
    assert body == make_clip().path.read_bytes()[first : last + 1]


async def test_a_range_beyond_the_end_is_416_with_the_size(clip_url: str) -> None:
    status, body, headers = await fetch(clip_url, Range="bytes=300000-")
    assert (status, body, headers["Content-Range"]) == (416, b"", "bytes */300000")


async def test_head_tells_size_and_sends_nothing(clip_url: str) -> None:
    status, body, headers = await fetch(clip_url, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "300000")
    assert headers["Accept-Ranges"] == "bytes"


async def test_the_clip_that_was_handed_in_may_be_deleted(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    clip.path.unlink()
    assert (await fetch(url))[0] == 200


async def test_the_copy_must_be_the_same_that_was_published(
    gateway: Gateway, clip_url: str, make_clip: Callable[..., HostedFile], settings: Settings
) -> None:
    clip = make_clip()
    kept = settings.home / "gateway" / "files" / f"{clip.digest}.mp4"
    kept.write_bytes(b"x" * clip.size_bytes)
    assert (await fetch(clip_url))[0] == 410
    kept.unlink()
    assert (await fetch(clip_url))[0] == 410
    await gateway.publish(clip)
    assert (await fetch(clip_url))[0] == 200


async def test_publishing_twice_at_once_leaves_one_good_copy(
    settings: Settings, gateway: Gateway, make_clip: Callable[..., HostedFile], clock: Any
) -> None:
    clip = make_clip(3_000_000)
    other = Gateway(settings, clock)
    first, second = await asyncio.gather(gateway.publish(clip), other.publish(clip))
    assert first == second
    await gateway.verify(await gateway.sign(first, 60), clip)
    assert [path.name for path in (settings.home / "gateway" / "files").iterdir()] == [f"{clip.digest}.mp4"]


async def test_a_clip_that_changed_since_it_was_digested_is_not_published(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    clip.path.write_bytes(b"y" * clip.size_bytes)
    with pytest.raises(HostingError, match="changed before it could be published"):
        await gateway.publish(clip)
    assert await gateway.leftovers() == []


async def test_withdraw_removes_the_copy_and_ends_its_links(
    gateway: Gateway, clip_url: str, make_clip: Callable[..., HostedFile]
) -> None:
    (leftover,) = await gateway.leftovers()
    assert (leftover.location, leftover.size_bytes) == (f"gateway:{make_clip().digest}", 300_000)
    await gateway.withdraw(leftover.location)
    await gateway.withdraw(leftover.location)
    assert await gateway.leftovers() == []
    assert (await fetch(clip_url))[0] == 404
    with pytest.raises(HostingError, match="does not hold this clip"):
        await gateway.sign(leftover.location, 60)


async def test_half_a_copy_that_a_kill_left_behind_is_listed_and_removed(
    gateway: Gateway, settings: Settings
) -> None:
    (settings.home / "gateway" / "files" / f"{'b' * 64}.part").write_bytes(b"half")
    (leftover,) = await gateway.leftovers()
    await gateway.withdraw(leftover.location)
    assert await gateway.leftovers() == []


def test_folder_and_secret_are_the_users_alone(settings: Settings) -> None:
    Gateway(settings)
    folder = settings.home / "gateway"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600


# -- what it refuses -------------------------------------------------------------------------------------


async def test_a_changed_signature_is_refused_at_every_place(clip_url: str) -> None:
    start = clip_url.index("/kd/") + 4
    for place in range(start, len(clip_url) - 4, 7):
        other = "A" if clip_url[place] != "A" else "B"
        assert (await fetch(clip_url[:place] + other + clip_url[place + 1 :]))[0] == 403


async def test_a_link_of_another_home_is_refused(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    await gateway.publish(make_clip())
    path = SignedPaths(b"\1" * 32).file_path(Grant(make_clip().digest, 2**32 - 1))
    assert (await fetch(gateway.public_url + path))[0] == 403


async def test_an_expired_link_is_refused_and_not_before_its_time(clip_url: str, clock: Any) -> None:
    clock.ahead = timedelta(seconds=60)
    assert (await fetch(clip_url))[0] == 200
    clock.ahead = timedelta(seconds=180)
    assert (await fetch(clip_url))[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/kd",
        "/kd/",
        "/kd/../kd/{token}",
        "/kd/./{token}",
        "/kd//{token}",
        "//kd/{token}",
        "/kd/%2e%2e/{token}",
        "/kd/..%2f{token}",
        "/../../../etc/passwd",
        "/kd/{token}/",
        "/kd/{token}?",
        "/kd/{token}?x=1",
        "/kd/{token}#x",
        "/kd/{token}.gz",
        "/kd/{token}%00",
        "/kd/files/secret",
        "/kd/callback/",
        "/kd/callback/" + "0" * 64,
        "/favicon.ico",
        "http://127.0.0.1/kd/{token}",
        "http://other.example/kd/{token}",
        "*",
    ],
)
async def test_every_path_but_the_links_own_is_nothing(gateway: Gateway, clip_url: str, path: str) -> None:
    asked = path.replace("{token}", clip_url.rpartition("/")[2])
    line = await raw(gateway.port, f"GET {asked} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.split()[1] in {"400", "404"}


@pytest.mark.parametrize("hosts", ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nhost: a\r\n"])
async def test_none_or_a_second_host_is_refused(gateway: Gateway, clip_url: str, hosts: str) -> None:
    path = urlsplit(clip_url).path
    assert (await raw(gateway.port, f"GET {path} HTTP/1.1\r\n{hosts}\r\n")).split()[1] == "400"
    assert (await raw(gateway.port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).split()[1] == "200"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_every_other_method_is_refused(clip_url: str, method: str) -> None:
    assert (await fetch(clip_url, method))[0] == 405


async def test_refusals_say_nothing_and_are_not_kept(gateway: Gateway) -> None:
    status, body, headers = await fetch(gateway.public_url + "/kd/")
    assert (status, body, headers["Cache-Control"]) == (404, b"", "no-store")


async def test_a_proxy_may_or_may_not_cut_off_the_public_path(
    make_settings: Callable[..., Settings], free_port: int, make_clip: Callable[..., HostedFile]
) -> None:
    gateway = Gateway(make_settings(public_url=f"http://127.0.0.1:{free_port}/clips/"))
    url = await gateway.sign(await gateway.publish(make_clip()), 60)
    assert "/clips/kd/" in url
    assert (await fetch(url))[0] == 200
    assert (await fetch(url.replace("/clips", "")))[0] == 200
    assert (await fetch(url.replace("/clips", "/other")))[0] == 404
    await gateway.stop()


async def test_no_log_line_holds_a_path(
    gateway: Gateway, clip_url: str, make_clip: Callable[..., HostedFile], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await gateway.verify(clip_url, make_clip())
    await fetch(clip_url + "x")
    await fetch(gateway.callback_url(), "POST", b"{")
    await raw(gateway.port, f"GET {urlsplit(gateway.callback_url()).path}\1 HTTP/1.1\r\n\r\n")
    await raw(gateway.port, f"GET {urlsplit(clip_url).path} HTTP/1.1\r\nHost : \x00\r\n\r\n")
    assert "/kd/" not in caplog.text
    assert clip_url.rpartition("/")[2] not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://clips.example.com",
        "clips.example.com",
        "ftp://clips.example.com",
        "https://",
        "https://a:b@clips.example.com",
        "https://clips.example.com/?token=1",
        "https://clips.example.com:0",
        "https://clips.example.com:99999",
    ],
)
def test_a_public_address_that_cannot_be_one_is_refused(url: str | None) -> None:
    with pytest.raises(HostingError, match=r"public address|KLING_DIRECT_PUBLIC_URL"):
        clean_public_url(url)


def test_a_public_address_is_cleaned() -> None:
    assert clean_public_url(" https://Clips.Example.com/a/ ") == "https://clips.example.com/a"


async def test_a_link_lives_at_most_thirty_days(gateway: Gateway, clip_url: str) -> None:
    (leftover,) = await gateway.leftovers()
    await gateway.sign(leftover.location, 30 * 86400)
    with pytest.raises(HostingError, match="at most 30 days"):
        await gateway.sign(leftover.location, 30 * 86400 + 1)


# -- several processes -----------------------------------------------------------------------------------


async def test_a_restart_serves_the_same_links(
    settings: Settings, make_clip: Callable[..., HostedFile]
) -> None:
    first = Gateway(settings)
    url = await first.sign(await first.publish(make_clip()), 60)
    callback = first.callback_url()
    await first.stop()
    second = Gateway(settings)
    await second.ensure_running()
    assert (await fetch(url))[0] == 200
    assert second.callback_url() == callback
    await second.stop()


async def test_two_processes_share_one_gateway_and_the_second_takes_over_after_a_kill(
    settings: Settings,
    clock: Any,
    make_clip: Callable[..., HostedFile],
    run_python: Callable[..., subprocess.Popen[str]],
) -> None:
    serving = run_python(
        SERVE,
        KLING_DIRECT_GATEWAY_PORT=str(settings.gateway_port),
        KLING_DIRECT_PUBLIC_URL=str(settings.public_url),
    )
    assert serving.stdout is not None
    line = await asyncio.to_thread(serving.stdout.readline)
    assert line == (
        f"Kling Direct gateway: {settings.public_url} -> http://127.0.0.1:{settings.gateway_port}\n"
    )

    gateway = Gateway(settings, clock)
    await gateway.start()
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    assert not gateway.serving
    await gateway.verify(url, clip)

    task = json.dumps({"id": "task-1", "status": "succeeded"}).encode()
    assert (await fetch(gateway.callback_url(), "POST", task))[:2] == (200, b"{}")
    assert gateway.hints_since(clock.now() - timedelta(minutes=1)) == {"task-1"}

    serving.kill()
    await asyncio.to_thread(serving.wait)

    async with asyncio.timeout(20):
        while not gateway.serving:
            await clock.sleep(0)  # the watcher's turn
    await gateway.verify(url, clip)
    await gateway.stop()


async def test_the_next_to_sign_takes_the_port_over(
    settings: Settings, make_clip: Callable[..., HostedFile]
) -> None:
    first, second = Gateway(settings), Gateway(settings)
    await first.ensure_running()
    await second.ensure_running()
    assert (first.serving, second.serving) == (True, False)
    await first.stop()
    url = await second.sign(await second.publish(make_clip()), 60)
    assert second.serving
    assert (await fetch(url))[0] == 200
    await second.stop()


async def test_the_program_of_its_own_ends_cleanly_on_sigterm(
    settings: Settings, run_python: Callable[..., subprocess.Popen[str]]
) -> None:
    serving = run_python(
        SERVE,
        KLING_DIRECT_GATEWAY_PORT=str(settings.gateway_port),
        KLING_DIRECT_PUBLIC_URL=str(settings.public_url),
    )
    assert serving.stdout is not None
    await asyncio.to_thread(serving.stdout.readline)
    serving.send_signal(signal.SIGTERM)
    out, err = await asyncio.to_thread(serving.communicate, timeout=20)
    assert (serving.returncode, out, err) == (0, "", "")


async def test_a_foreign_program_on_the_port_is_named_with_the_setting(settings: Settings) -> None:
    async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonce = (await reader.readuntil(b"\r\n\r\n")).split()[1].rpartition(b"/")[2]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\nConnection: close\r\n\r\n" + nonce)
        await writer.drain()
        writer.close()

    foreign = await asyncio.start_server(parrot, "127.0.0.1", settings.gateway_port)
    with pytest.raises(HostingError, match=rf"Port {settings.gateway_port} .* KLING_DIRECT_GATEWAY_PORT"):
        await Gateway(settings).ensure_running()
    foreign.close()
    await foreign.wait_closed()


async def test_a_gateway_of_another_home_is_foreign(
    settings: Settings, gateway: Gateway, make_settings: Callable[..., Settings]
) -> None:
    other = Gateway(make_settings(home=settings.home.parent / "other", public_url=settings.public_url))
    with pytest.raises(HostingError, match="the gateway of another home"):
        await other.ensure_running()


async def test_a_proof_is_good_for_one_port_only(settings: Settings) -> None:
    paths = SignedPaths.of_folder(settings.home / "gateway")
    assert paths.proof("0" * 32, 8189) != paths.proof("0" * 32, 8190)
    assert "***" in repr(paths)


async def test_a_program_that_accepts_and_is_silent_does_not_hang_us(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kling_direct.hosting.gateway.PROOF_SECONDS", 0.05)
    with (
        socket.create_server(("127.0.0.1", settings.gateway_port)),
        pytest.raises(HostingError, match="used by another program"),
    ):
        await Gateway(settings).ensure_running()
