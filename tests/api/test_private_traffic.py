"""Our own requests leave no trace in the HTTP libraries' logs; those of others do as ever."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest

from kling_once.api.transport import LOGGERS, private_traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def ask(origin: str, query: str) -> None:
    async with httpx.AsyncClient() as http:
        await http.get(f"{origin}/?{query}")


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_a_request_inside_is_not_logged_and_one_outside_is(
    serve: Callable[..., Awaitable[Any]], debug: pytest.LogCaptureFixture
) -> None:
    server = await serve(text="ok")
    with private_traffic():
        await ask(server.origin, "inside")
    assert [record.name for record in debug.records if record.name.startswith("http")] == []
    await ask(server.origin, "outside")
    assert "outside" in debug.text
    assert "inside" not in debug.text


async def test_somebody_elses_request_at_the_same_moment_is_logged(
    serve: Callable[..., Awaitable[Any]], debug: pytest.LogCaptureFixture
) -> None:
    server = await serve(text="ok")

    async def ours() -> None:
        with private_traffic():
            await ask(server.origin, "ours")

    await asyncio.gather(*(work for n in range(5) for work in (ours(), ask(server.origin, f"theirs-{n}"))))
    assert "ours" not in debug.text
    assert all(f"theirs-{n}" in debug.text for n in range(5))


async def test_the_silence_ends_with_an_error_too(
    debug: pytest.LogCaptureFixture, serve: Callable[..., Awaitable[Any]]
) -> None:
    with pytest.raises(httpx.HTTPError), private_traffic():
        await ask("http://127.0.0.1:1", "inside")
    assert "inside" not in debug.text
    server = await serve(text="ok")
    await ask(server.origin, "outside")
    assert "outside" in debug.text


def test_every_logger_of_the_http_libraries_is_covered() -> None:
    """A new version may log under a new name; then this list must grow."""
    assert httpcore.__version__
    named = {
        name
        for name, logger in logging.Logger.manager.loggerDict.items()
        if name.split(".")[0] in {"httpx", "httpcore"} and isinstance(logger, logging.Logger)
    }
    assert named <= set(LOGGERS), named - set(LOGGERS)
