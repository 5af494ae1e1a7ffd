"""A clip at a host goes only when nobody needs it at that very moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from kling_once.errors import HostingError
from kling_once.hosting.media_host import Leftover
from kling_once.jobs import uploads
from kling_once.jobs.uploads import Sweeper, clean, sweep
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


class Hurried:
    """A clock whose waits are over at once: what was to expire meanwhile has."""

    def __init__(self, ledger_file: Any) -> None:
        self._ledger_file = ledger_file

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= uploads.LOOK_SECONDS
        self._ledger_file.execute("UPDATE uploads SET signed_until = 0")


async def refused() -> None:
    raise HostingError("The bucket refuses to delete.")


async def test_a_clip_that_the_host_keeps_is_tried_again_at_the_next_sweep(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    host: Any = Host(refused)
    assert await sweep(ledger, host) == 0
    assert host.gone == [FIRST, SECOND]
    assert "could not be removed from their host: 2. The bucket refuses to delete." in caplog.text
    assert sorted(await ledger.removable(Host.kind)) == sorted([FIRST, SECOND])


async def test_a_host_that_hangs_holds_no_result_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uploads, "SWEEP_SECONDS", 0.01)
    host: Any = Host(lambda: asyncio.sleep(3600))
    assert await sweep(ledger, host) == 0
    assert "does not answer in time" in caplog.text


async def test_a_link_that_expires_later_has_its_clip_removed_then(ledger: Ledger, ledger_file: Any) -> None:
    host: Any = Host(lambda: asyncio.sleep(0))

    async def public_host() -> Any:
        return host

    await ledger.note_upload(SECOND, Host.kind, datetime.now(UTC) + timedelta(minutes=5))
    sweeper = Sweeper(ledger, public_host, cast("Any", Hurried(ledger_file)))
    await sweeper.sweep_now()
    assert host.gone == [FIRST], "the other's link is still valid"
    later = sweeper._later
    assert later is not None
    async with asyncio.timeout(30):
        await later
    assert host.gone == [FIRST, SECOND]


@pytest.mark.parametrize("error", [HostingError("No bucket of this name."), RuntimeError("a defect")])
async def test_a_sweep_that_fails_hides_no_result(
    error: Exception, ledger: Ledger, ledger_file: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def public_host() -> Any:
        raise error

    await Sweeper(ledger, public_host, cast("Any", Hurried(ledger_file))).sweep_now()
    assert "reference videos could not be removed" in caplog.text
