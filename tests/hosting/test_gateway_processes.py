"""Gateway: one port, one home, several processes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from kling_once.errors import HostingError
from kling_once.hosting.gateway import Gateway
from kling_once.hosting.gateway_server import SignedPaths
from tests.slowness import slowness

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from kling_once.hosting.media_host import HostedFile
    from kling_once.settings import Settings

SERVE = (
    "from kling_once.settings import load_settings\n"
    "from kling_once.hosting.gateway import serve_gateway\n"
    "serve_gateway(load_settings())\n"
)


async def test_a_restart_serves_the_same_links(
    settings: Settings, make_clip: Callable[..., HostedFile], fetch: Callable[..., Any]
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
    fetch: Callable[..., Any],
) -> None:
    serving = run_python(
        SERVE,
        KLING_ONCE_GATEWAY_PORT=str(settings.gateway_port),
        KLING_ONCE_PUBLIC_URL=str(settings.public_url),
    )
    assert serving.stdout is not None
    line = await asyncio.to_thread(serving.stdout.readline)
    assert line == (
        f"Kling Once gateway: {settings.public_url} -> http://127.0.0.1:{settings.gateway_port}\n"
    )

    gateway = Gateway(settings, clock)
    await gateway.start()
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    assert not gateway.serving
    await gateway.verify(url, clip)

    task = json.dumps({"id": "task-1", "status": "succeeded"}).encode()
    assert (await fetch(gateway.callback_url(), "POST", task))[:2] == (200, b"{}")
    async with asyncio.timeout(60):
        await gateway.wait_for_callback("task-1")

    serving.kill()
    await asyncio.to_thread(serving.wait)

    async with asyncio.timeout(60):
        while not gateway.serving:
            await clock.sleep(0)  # the watcher's turn
    await gateway.verify(url, clip)
    await gateway.stop()


async def test_the_next_to_sign_takes_the_port_over(
    settings: Settings, make_clip: Callable[..., HostedFile], fetch: Callable[..., Any]
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
        KLING_ONCE_GATEWAY_PORT=str(settings.gateway_port),
        KLING_ONCE_PUBLIC_URL=str(settings.public_url),
    )
    assert serving.stdout is not None
    await asyncio.to_thread(serving.stdout.readline)
    serving.send_signal(signal.SIGTERM)
    out, err = await asyncio.to_thread(serving.communicate, timeout=20)
    assert (serving.returncode, out, err) == (0, "", "")


async def test_a_foreign_program_on_the_port_is_named_with_the_setting(settings: Settings) -> None:
    async def yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    foreign = await asyncio.start_server(yes, "127.0.0.1", settings.gateway_port)
    with pytest.raises(HostingError, match=rf"Port {settings.gateway_port} .* KLING_ONCE_GATEWAY_PORT"):
        await Gateway(settings).ensure_running()
    foreign.close()
    await foreign.wait_closed()


async def test_a_gateway_of_another_home_is_foreign(
    settings: Settings, gateway: Gateway, make_settings: Callable[..., Settings]
) -> None:
    other = Gateway(make_settings(home=settings.home.parent / "other", public_url=settings.public_url))
    with pytest.raises(HostingError, match="the gateway of another home"):
        await other.ensure_running()


async def test_a_port_that_a_foreign_program_gave_back_is_served(settings: Settings) -> None:
    gateway = Gateway(settings)
    with (
        socket.create_server(("127.0.0.1", settings.gateway_port)),
        pytest.raises(HostingError, match="used by another program"),
    ):
        await gateway.ensure_running()
    await gateway.ensure_running()
    assert gateway.serving
    await gateway.stop()


async def test_two_ports_of_one_home_are_two_gateways(
    settings: Settings, gateway: Gateway, unused_tcp_port: int, make_settings: Callable[..., Settings]
) -> None:
    other = Gateway(make_settings(public_url=settings.public_url, gateway_port=unused_tcp_port))
    await other.ensure_running()
    assert (gateway.serving, other.serving) == (True, True)
    await other.stop()


async def test_a_gateway_folder_without_locks_is_said_in_words(settings: Settings) -> None:
    gateway = Gateway(settings)
    (settings.home / "gateway" / f"port-{settings.gateway_port}.lock").mkdir()
    with pytest.raises(HostingError, match="cannot be locked"):
        await gateway.ensure_running()


async def test_an_answer_under_way_does_not_keep_the_port(
    settings: Settings, make_clip: Callable[..., HostedFile]
) -> None:
    first, second = Gateway(settings), Gateway(settings)
    url = await first.sign(await first.publish(make_clip(30_000_000)), 60)
    reader, writer = await asyncio.open_connection("127.0.0.1", settings.gateway_port)
    writer.write(f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    stopping = asyncio.create_task(first.stop())
    async with asyncio.timeout(slowness()):
        while not second.serving:
            await asyncio.sleep(0)
            await second.ensure_running()
    assert not stopping.done()
    writer.close()
    await stopping
    await second.stop()


def test_no_representation_shows_the_secret(settings: Settings) -> None:
    assert "***" in repr(SignedPaths.of_folder(settings.home / "gateway"))


async def test_a_program_that_accepts_and_is_silent_does_not_hang_us(settings: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.gateway_port)),
        pytest.raises(HostingError, match="used by another program"),
    ):
        await Gateway(settings).ensure_running()
