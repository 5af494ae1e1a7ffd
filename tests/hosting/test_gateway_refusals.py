"""Gateway: everything but a genuine link is refused, and nothing is said about it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from kling_once.errors import HostingError
from kling_once.hosting.gateway import Gateway, clean_public_url
from kling_once.hosting.gateway_server import Grant, SignedPaths

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.hosting.media_host import HostedFile
    from kling_once.settings import Settings


async def test_a_changed_signature_is_refused_at_every_place(
    clip_url: str, fetch: Callable[..., Any]
) -> None:
    start = clip_url.index("/ko/") + 4
    for place in range(start, len(clip_url) - 4, 7):
        other = "A" if clip_url[place] != "A" else "B"
        assert (await fetch(clip_url[:place] + other + clip_url[place + 1 :]))[0] == 403


async def test_a_link_of_another_home_is_refused(
    gateway: Gateway, make_clip: Callable[..., HostedFile], fetch: Callable[..., Any]
) -> None:
    await gateway.publish(make_clip())
    path = SignedPaths(b"\1" * 32).file_path(Grant(make_clip().digest, 2**32 - 1))
    assert (await fetch(gateway.public_url + path))[0] == 403


async def test_an_expired_link_is_refused_and_not_before_its_time(
    clip_url: str, clock: Any, fetch: Callable[..., Any]
) -> None:
    clock.ahead = timedelta(seconds=60)
    assert (await fetch(clip_url))[0] == 200
    clock.ahead = timedelta(seconds=180)
    assert (await fetch(clip_url))[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/kd",
        "/ko/",
        "/ko/../ko/{token}",
        "/ko/./{token}",
        "/ko//{token}",
        "//ko/{token}",
        "/ko/%2e%2e/{token}",
        "/ko/..%2f{token}",
        "/../../../etc/passwd",
        "/ko/{token}/",
        "/ko/{token}?",
        "/ko/{token}?x=1",
        "/ko/{token}#x",
        "/ko/{token}.gz",
        "/ko/{token}%00",
        "/ko/files/secret",
        "/ko/callback/",
        "/ko/callback/" + "0" * 64,
        "/favicon.ico",
        "http://127.0.0.1/ko/{token}",
        "http://other.example/ko/{token}",
        "*",
    ],
)
async def test_every_path_but_the_links_own_is_nothing(
    gateway: Gateway, clip_url: str, path: str, raw: Callable[..., Any]
) -> None:
    asked = path.replace("{token}", clip_url.rpartition("/")[2])
    line = await raw(gateway.port, f"GET {asked} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.split()[1] in {"400", "404"}


@pytest.mark.parametrize("hosts", ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nhost: a\r\n"])
async def test_none_or_a_second_host_is_refused(
    gateway: Gateway, clip_url: str, hosts: str, raw: Callable[..., Any]
) -> None:
    path = urlsplit(clip_url).path
    assert (await raw(gateway.port, f"GET {path} HTTP/1.1\r\n{hosts}\r\n")).split()[1] == "400"
    assert (await raw(gateway.port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).split()[1] == "200"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_every_other_method_is_refused(clip_url: str, method: str, fetch: Callable[..., Any]) -> None:
    assert (await fetch(clip_url, method))[0] == 405


async def test_refusals_say_nothing_and_are_not_kept(gateway: Gateway, fetch: Callable[..., Any]) -> None:
    status, body, headers = await fetch(gateway.public_url + "/ko/")
    assert (status, body, headers["Cache-Control"]) == (404, b"", "no-store")


async def test_a_proxy_may_or_may_not_cut_off_the_public_path(
    make_settings: Callable[..., Settings],
    free_port: int,
    make_clip: Callable[..., HostedFile],
    fetch: Callable[..., Any],
) -> None:
    gateway = Gateway(make_settings(public_url=f"http://127.0.0.1:{free_port}/clips/"))
    url = await gateway.sign(await gateway.publish(make_clip()), 60)
    assert "/clips/ko/" in url
    assert (await fetch(url))[0] == 200
    assert (await fetch(url.replace("/clips", "")))[0] == 200
    assert (await fetch(url.replace("/clips", "/other")))[0] == 404
    await gateway.stop()


async def test_no_log_line_holds_a_path(
    gateway: Gateway,
    clip_url: str,
    make_clip: Callable[..., HostedFile],
    caplog: pytest.LogCaptureFixture,
    fetch: Callable[..., Any],
    raw: Callable[..., Any],
) -> None:
    caplog.set_level(logging.DEBUG)
    await gateway.verify(clip_url, make_clip())
    await fetch(clip_url + "x")
    await fetch(gateway.callback_url(), "POST", b"{")
    await raw(gateway.port, f"GET {urlsplit(gateway.callback_url()).path}\1 HTTP/1.1\r\n\r\n")
    await raw(gateway.port, f"GET {urlsplit(clip_url).path} HTTP/1.1\r\nHost : \x00\r\n\r\n")
    assert "/ko/" not in caplog.text
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
    with pytest.raises(HostingError, match=r"public address|KLING_ONCE_PUBLIC_URL"):
        clean_public_url(url)


def test_a_public_address_is_cleaned() -> None:
    assert clean_public_url(" https://Clips.Example.com/a/ ") == "https://clips.example.com/a"


async def test_a_link_lives_at_most_thirty_days(gateway: Gateway, clip_url: str) -> None:
    (leftover,) = await gateway.leftovers()
    await gateway.sign(leftover.location, 30 * 86400)
    with pytest.raises(HostingError, match="at most 30 days"):
        await gateway.sign(leftover.location, 30 * 86400 + 1)
