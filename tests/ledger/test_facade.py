"""The ledger as its callers see it: from any event loop, and with nothing of the database in it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_once.ledger import ledger as facade
from kling_once.ledger import queries
from kling_once.ledger.attempts import AttemptState, attempt_row
from kling_once.ledger.job import adopted_key
from kling_once.ledger.queries import Page
from kling_once.order import Sender, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from kling_once.ledger.ledger import Ledger

OF_ONE = re.compile(
    r"(?i:sqlite|pragma|psycopg|advisory_xact)|BEGIN|prefix_with|lastrowid|exec_driver_sql|clock_timestamp"
)


async def adopted(ledger: Ledger, task_id: str = "123") -> Any:
    key = adopted_key("global", task_id)
    columns = {"state": AttemptState.SUBMITTED, "task_id": task_id}
    return await ledger.adopt_task(
        key, "global", "https://kling", Service.KLING, "cats", Sender("", "f"), columns
    )


def test_nothing_but_the_database_modules_knows_which_database_it_is() -> None:
    modules = set(Path(facade.__file__).parent.glob("*.py"))
    known = {path.stem for path in modules if OF_ONE.search(path.read_text(encoding="utf-8"))}
    assert known == {"database", "sqlite", "postgresql"}


def test_a_ledger_serves_one_event_loop_after_another(ledger: Ledger) -> None:
    attempt = asyncio.run(adopted(ledger))
    assert asyncio.run(ledger.attempt(attempt.attempt_id)) == attempt


async def test_a_task_is_adopted_once_and_listed_as_adopted(ledger: Ledger) -> None:
    first, second = await asyncio.gather(adopted(ledger), adopted(ledger))
    assert first == second
    total, (row,) = await ledger.list_jobs(Page())
    assert (total, row["adopted"], row["project"], row["model"]) == (1, True, "cats", "")
    label = await ledger.label(first.job_key)
    assert (label.project, label.video_name, label.take) == ("cats", "123", 0)
    assert await ledger.find_task("global", "123", "", by_external_id=False) == first


async def test_an_attempt_that_another_holds_is_looked_at_without_waiting_for_it(
    ledgers: Callable[[], Ledger],
) -> None:
    holder, other = ledgers(), ledgers()
    attempt = await adopted(holder)
    assert await other.look(attempt) == (attempt, False)
    claimed = await holder.claim(attempt)

    with holder.database.write() as connection:
        attempt_row(connection, attempt.attempt_id, for_change=True)
        async with asyncio.timeout(60):
            assert await other.look(attempt) == (claimed, True)
    assert await holder.look(attempt) == (claimed, False)


async def test_a_key_is_told_by_its_newest_tasks_and_kept_videos_come_last(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_TASKS", 3)
    for number in (3, 1, 4, 2):
        attempt = await adopted(ledger, f"{number}")
        if number == 4:
            claimed = await ledger.claim(attempt)
            assert claimed is not None
            await ledger.change(claimed, state=AttemptState.KEPT)
    assert await ledger.tasks_of_keys("https://kling", "") == {("f", "legacy"): ["2", "1", "3"]}
    monkeypatch.setattr(queries, "MOST_TASKS", 9)
    assert await ledger.tasks_of_keys("https://kling", "") == {("f", "legacy"): ["2", "1", "3", "4"]}
    assert await ledger.tasks_of_keys("https://kling", "another") == {}


async def test_a_fingerprint_key_is_made_once(ledger: Ledger) -> None:
    keys = await asyncio.gather(*(ledger.fingerprint_key() for _ in range(4)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
