"""A clip at a host goes only when nobody needs it at that very moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.hosting.media_host import Leftover
from kling_once.jobs.uploads import clean, sweep
from tests.open_ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kling_once.ledger.ledger import Ledger


FIRST, SECOND = "s3://clips/first.mp4", "s3://clips/second.mp4"


class Host:
    """A host that holds two clips; something else happens while the first one is being removed."""

    kind = "object_store"

    def __init__(self, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self.gone: list[str] = []
        self._meanwhile = meanwhile

    async def withdraw(self, location: str) -> None:
        self.gone.append(location)
        await self._meanwhile()

    async def leftovers(self) -> list[Leftover]:
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        return [Leftover(location, 1, long_ago) for location in (FIRST, SECOND)]


@pytest.fixture
def ledger(engine: Any, order: Callable[..., Any]) -> Ledger:
    """A ledger with one attempt, and two clips at a host whose links ended an hour ago."""
    engine.run(order()).result()
    ledger = open_ledger(engine)
    ended = datetime.now(UTC) - timedelta(hours=1)
    for location in (FIRST, SECOND):
        asyncio.run(ledger.note_upload(location, Host.kind, ended))
    return ledger


async def test_a_clip_with_a_new_link_made_during_a_sweep_stays(ledger: Ledger) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    host: Any = Host(lambda: ledger.note_upload(SECOND, Host.kind, later))
    assert await sweep(ledger, host) == 1
    assert host.gone == [FIRST]


async def test_a_clip_that_an_attempt_takes_up_during_a_sweep_stays(ledger: Ledger, ledger_file: Any) -> None:
    host: Any = Host(lambda: asyncio.to_thread(ledger_file.change, state="submitted", location=SECOND))
    assert await sweep(ledger, host) == 1
    assert host.gone == [FIRST]


async def test_a_clip_that_an_attempt_takes_up_during_a_cleaning_stays(
    ledger: Ledger, ledger_file: Any
) -> None:
    host: Any = Host(lambda: asyncio.to_thread(ledger_file.change, state="submitted", location=SECOND))
    assert await clean(ledger, host, datetime.now(UTC)) == (1, 1)
    assert host.gone == [FIRST]
