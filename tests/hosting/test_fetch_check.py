"""Verify: which hop is broken, in one line that never holds the link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kling_once.errors import HostingError
from kling_once.hosting.fetch_check import Hop, check_fetch
from kling_once.hosting.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kling_once.hosting.media_host import HostedFile
    from kling_once.settings import Settings


@pytest.fixture
async def gateway(make_settings: Callable[..., Settings], tunnel: Any) -> AsyncIterator[Gateway]:
    gateway = Gateway(make_settings(public_url=tunnel.url))
    yield gateway
    await gateway.stop()


async def broken(gateway: Gateway, url: str, clip: HostedFile) -> str:
    with pytest.raises(HostingError) as caught:
        await gateway.verify(url, clip)
    text = str(caught.value)
    assert "/ko/" not in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("size_bytes", [1, 65_536, 65_537, 300_000])
async def test_a_whole_tunnel_passes(
    gateway: Gateway, make_clip: Callable[..., HostedFile], size_bytes: int
) -> None:
    clip = make_clip(size_bytes)
    await gateway.verify(await gateway.sign(await gateway.publish(clip), 60), clip)


async def test_a_tunnel_that_is_down_is_named_and_after_it_is_up_again_all_is_well(
    gateway: Gateway, tunnel: Any, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    await tunnel.down()
    text = await broken(gateway, url, clip)
    assert "the tunnel or proxy at 127.0.0.1: connection refused." in text
    assert "the gateway itself answers well" in text
    await tunnel.up()
    await gateway.verify(url, clip)


async def test_a_gateway_that_is_down_is_named_before_the_tunnel(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    await gateway.stop()
    assert f"the gateway on 127.0.0.1:{gateway.port}: connection refused." in await broken(gateway, url, clip)


def _login(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "https://login.example.com/?back=" + request.path})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: web.Response(status=502), "it answers, but what is behind it does not (HTTP 502)"),
        (lambda _: web.Response(status=530), "it answers, but what is behind it does not (HTTP 530)"),
        (lambda _: web.Response(status=404), "it says that there is no such file (HTTP 404)"),
        (lambda _: web.Response(status=401), "it denies the access (HTTP 401)"),
        (_login, "it sends the request elsewhere (HTTP 302), for example to a login page"),
        (lambda _: web.Response(status=429), "it refuses (HTTP 429)"),
        (
            lambda _: web.Response(text="<h1>You are about to visit</h1>", content_type="text/html"),
            "it answers with other content than the clip (type text/html)",
        ),
    ],
)
async def test_what_the_tunnel_does_is_said(
    gateway: Gateway, tunnel: Any, make_clip: Callable[..., HostedFile], change: Callable, says: str
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    tunnel.change = change
    assert f"the tunnel or proxy at 127.0.0.1: {says}" in await broken(gateway, url, clip)


async def test_a_tunnel_that_drops_range_is_named(
    gateway: Gateway, tunnel: Any, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    tunnel.change = lambda _request: web.Response(body=clip.path.read_bytes(), content_type="video/mp4")
    assert "it does not honour Range" in await broken(gateway, url, clip)


@pytest.mark.parametrize(
    ("altered_at", "size_said"), [(0, 300_000), (150_000, 300_000), (299_999, 300_000), (None, 300_001)]
)
async def test_other_bytes_or_another_size_are_found(
    gateway: Gateway,
    tunnel: Any,
    make_clip: Callable[..., HostedFile],
    altered_at: int | None,
    size_said: int,
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    data = bytearray(clip.path.read_bytes())
    if altered_at is not None:
        data[altered_at] ^= 1

    def alter(request: web.Request) -> web.Response:
        first, last = (int(number) for number in request.headers["Range"].removeprefix("bytes=").split("-"))
        place = f"bytes {first}-{last}/{size_said}"
        body = bytes(data[first : last + 1])
        return web.Response(status=206, body=body, headers={"Content-Range": place})

    tunnel.change = alter
    assert "other content than the clip" in await broken(gateway, url, clip)


async def test_a_name_that_nobody_knows_is_said(make_clip: Callable[..., HostedFile]) -> None:
    hop = Hop("the tunnel", missing="", denied="", down="Start it.")
    with pytest.raises(HostingError, match=r"the tunnel: its host name is not known \(DNS\). Start it"):
        await check_fetch("https://no-such-host.invalid/x", make_clip(), hop)


async def test_the_environments_proxy_is_used_for_other_machines(
    make_clip: Callable[..., HostedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip()
    asked: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        first, last = (int(number) for number in request.headers["Range"].removeprefix("bytes=").split("-"))
        place = {"Content-Range": f"bytes {first}-{last}/{clip.size_bytes}"}
        return web.Response(status=206, body=clip.path.read_bytes()[first : last + 1], headers=place)

    runner = web.ServerRunner(web.Server(proxy, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    hop = Hop("the tunnel", missing="", denied="", down="Start it.")
    for name, value in (("http_proxy", f"http://{address}"), ("all_proxy", address)):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            await check_fetch("http://clips.invalid/x", clip, hop)
    await runner.cleanup()
    assert asked == ["http://clips.invalid/x"] * 6

    monkeypatch.setenv("all_proxy", "socks5://user:password@127.0.0.1:9")
    with pytest.raises(HostingError, match=r"Start it\. This check cannot use the SOCKS proxy") as caught:
        await check_fetch("http://clips.invalid/x", clip, hop)
    assert "password" not in str(caught.value)


async def test_a_link_that_is_not_the_gateways_is_not_fetched(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    with pytest.raises(HostingError, match="not made by the gateway"):
        await gateway.verify("https://elsewhere.example/ko/x.mp4", make_clip())


async def test_a_clip_that_changed_after_it_was_published_is_said(
    gateway: Gateway, make_clip: Callable[..., HostedFile]
) -> None:
    clip = make_clip()
    url = await gateway.sign(await gateway.publish(clip), 60)
    clip.path.write_bytes(b"shorter")
    assert "changed after it was published" in await broken(gateway, url, clip)
