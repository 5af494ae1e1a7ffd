"""Every exception of httpx, and every odd environment, becomes one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kling_once.api.transport import open_client, translate
from kling_once.errors import AnswerLost, NeverSent, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIGIN = "https://api.example"
NOT_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "ProxyError",
    "UnsupportedProtocol",
    "InvalidURL",
}
"""Raised before the first byte of a request leaves; everything else may have arrived."""


def descendants(kind: type) -> Iterator[type]:
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


FOREIGN = sorted({*descendants(httpx.HTTPError), httpx.InvalidURL}, key=lambda kind: kind.__name__)


def made(kind: type) -> Any:
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("POST", ORIGIN)
        return kind("text", request=request, response=httpx.Response(500, request=request))
    return kind("text")


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_is_ours_and_only_proof_counts_as_never_sent(kind: type) -> None:
    error = translate(made(kind), ORIGIN)
    assert type(error) is (NeverSent if kind.__name__ in NOT_SENT else AnswerLost)
    assert ORIGIN in error.message
    assert error.hint


def test_the_list_of_foreign_exceptions_is_not_empty() -> None:
    assert len(FOREIGN) > 15
    assert {kind.__name__ for kind in FOREIGN} >= NOT_SENT


async def test_tls_that_breaks_after_the_request_is_an_answer_that_is_lost(
    connect: Any, broken_tls: Any, request_of: Any
) -> None:
    client = await connect(broken_tls())
    for call in (client.create(request_of()), client.get("8001")):
        with pytest.raises(AnswerLost) as caught:
            await call
        assert "SSLError" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://user:geheim@127.0.0.1:1080"),
        ("HTTPS_PROXY", "gopher://user:geheim@127.0.0.1:70"),
        ("HTTPS_PROXY", "http://user:geheim@proxy:port"),
        ("SSL_CERT_FILE", "/geheim/there-is-no-such-file.pem"),
    ],
)
async def test_an_environment_that_cannot_be_used_ends_in_one_line_without_its_values(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        async with open_client():
            pass
    assert "geheim" not in str(caught.value)
    assert caught.value.hint


async def test_a_proxy_that_does_not_answer_is_proof_that_nothing_was_sent(
    connect: Any, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(NeverSent):
        await (await connect(ORIGIN)).get("8001")


async def test_a_proxy_that_refuses_is_proof_that_nothing_was_sent(
    connect: Any, monkeypatch: pytest.MonkeyPatch, serve_raw: Any
) -> None:
    proxy = await serve_raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(NeverSent, match="407"):
        await (await connect(ORIGIN)).get("8001")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
async def test_this_machine_is_never_asked_through_a_proxy(
    connect: Any, monkeypatch: pytest.MonkeyPatch, serve: Any, unused_tcp_port: int, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")
    body = b'{"code": 0, "data": {"task_id": "8001"}}'
    server = await serve(body=body, content_type="application/json")
    assert (await (await connect(server.origin)).get("8001")).value.task_id == "8001"
