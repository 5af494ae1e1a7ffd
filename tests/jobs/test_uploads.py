"""A clip at a host goes only when nobody needs it at that very moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.hosting.media_host import Leftover
from kling_once.ledger.uploads import clean, note_upload, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.ledger.database import Database

FIRST, SECOND = "s3://clips/first.mp4", "s3://clips/second.mp4"


class Host:
    """A host that holds two clips; something else happens while the first one is being removed."""

    kind = "object_store"

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.gone: list[str] = []
        self._meanwhile = meanwhile

    async def withdraw(self, location: str) -> None:
        self.gone.append(location)
        self._meanwhile()

    async def leftovers(self) -> list[Leftover]:
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        return [Leftover(location, 1, long_ago) for location in (FIRST, SECOND)]


@pytest.fixture
def database(engine: Any, order: Callable[..., Any]) -> Database:
    """A ledger with one attempt, and two clips at a host whose links ended an hour ago."""
    engine.run(order()).result()
    database = engine.ledger().database
    ended = datetime.now(UTC) - timedelta(hours=1)
    for location in (FIRST, SECOND):
        note_upload(database, location, Host.kind, ended, ended)
    return database


async def test_a_clip_with_a_new_link_made_during_a_sweep_stays(database: Database) -> None:
    now = datetime.now(UTC)
    later = now + timedelta(hours=1)
    host: Any = Host(lambda: note_upload(database, SECOND, Host.kind, now, later))
    assert await sweep(database, host, now) == 1
    assert host.gone == [FIRST]


async def test_a_clip_that_an_attempt_takes_up_during_a_sweep_stays(
    database: Database, ledger_file: Any
) -> None:
    host: Any = Host(lambda: ledger_file.change(state="submitted", location=SECOND))
    assert await sweep(database, host, datetime.now(UTC)) == 1
    assert host.gone == [FIRST]


async def test_a_clip_that_an_attempt_takes_up_during_a_cleaning_stays(
    database: Database, ledger_file: Any
) -> None:
    host: Any = Host(lambda: ledger_file.change(state="submitted", location=SECOND))
    assert await clean(database, host, datetime.now(UTC)) == (1, 1)
    assert host.gone == [FIRST]
