"""The page of any worker shows what all of them do."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from kling_once.jobs.recovery import forget
from kling_once.web import mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.sandbox_control import SandboxControl

PROMISED_SECONDS = 2.0


class PageHost:
    """A server with a page that is open."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self.looks = 0

    def engine(self) -> Engine:
        return self._engine

    def output_folder(self) -> Path:
        return self._folder

    def input_file(self, name: str) -> Path | None:
        return None

    def input_moment(self, name: str) -> float | None:
        return None

    def is_watched(self) -> bool:
        self.looks += 1
        return True

    def is_off(self, service: object) -> bool:
        return False


class Page:
    """What a page hears, and what it is answered when it asks again."""

    def __init__(self, host: PageHost, client: httpx.AsyncClient, eventually: Callable[..., object]) -> None:
        self.host = host
        self._client = client
        self._eventually = eventually
        self.heard: list[tuple[str, str]] = []
        host.engine().watchers.add(lambda key, state: self.heard.append((key, state)))

    async def jobs(self) -> list[dict[str, Any]]:
        return (await self._client.get("/kling_once/jobs")).json()["jobs"]

    async def seconds_until(self, heard: tuple[str, str], is_shown: Callable[[Any], bool]) -> float:
        """Return how long it takes until the page has heard this, asks, and is answered so."""
        began = time.monotonic()
        await asyncio.to_thread(self._eventually, lambda: heard in self.heard, "the news")
        assert is_shown(await self.jobs())
        return time.monotonic() - began

    async def idle_seconds(self) -> float:
        """Return how long it takes to be answered when nothing has happened."""
        began = time.monotonic()
        await self.jobs()
        return time.monotonic() - began


@asynccontextmanager
async def page_of(engine: Engine, folder: Path, eventually: Callable[..., object]) -> AsyncIterator[Page]:
    routes = web.RouteTableDef()
    host = PageHost(engine, folder)
    mount(routes, host)
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with httpx.AsyncClient(
        base_url=origin, headers={"Origin": origin}, trust_env=False, timeout=60
    ) as client:
        yield Page(host, client, eventually)
    await runner.cleanup()


@pytest.mark.parametrize("through", ["fleet", "pooled"])
async def test_a_page_shows_within_two_seconds_what_another_worker_does(
    through: str,
    sandbox: SandboxControl,
    worker: Callable[..., Engine],
    order: Callable[..., Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    eventually: Callable[..., object],
) -> None:
    request.getfixturevalue(through)
    sandbox.move(policy="polls", polls=100_000)
    here, elsewhere = worker("one"), worker("two")
    ledger = await elsewhere.ledger()
    async with page_of(here, tmp_path, eventually) as page:
        assert await page.jobs() == []
        await asyncio.to_thread(eventually, lambda: page.host.looks > 1, "the first look")
        attempt = await elsewhere.submit(order())
        key = attempt.job_key

        took = [await page.seconds_until((key, "moved"), lambda jobs: jobs[0]["state"] == "submitted")]
        sandbox.move(policy="at once")
        await elsewhere.collect(key)
        took.append(await page.seconds_until((key, "ended"), lambda jobs: jobs[0]["state"] == "kept"))
        await ledger.hold()
        took.append(await page.seconds_until(("", "hold"), lambda _: True))
        page.heard.clear()
        await forget(ledger, elsewhere.store, key, delete_file=False)
        took.append(await page.seconds_until((key, "ended"), lambda jobs: jobs == []))

        idle = max([await page.idle_seconds() for _ in range(3)])
        assert max(took) < PROMISED_SECONDS + 5 * idle, (took, idle)


async def test_a_page_that_is_not_open_asks_nothing(
    worker: Callable[..., Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., object],
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(PageHost, "is_watched", lambda _: looks.append(None))
    engine = worker("one")
    asked: list[None] = []
    monkeypatch.setattr("kling_once.ledger.news.glance", lambda *_: asked.append(None))
    async with page_of(engine, tmp_path, eventually) as page:
        await page.jobs()
        await asyncio.to_thread(eventually, lambda: len(looks) > 2, "some looks")
    assert asked == []
