"""What moves in a ledger, as a page of another worker hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.job import adopted_key
from kling_once.order import Sender, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.ledger.ledger import Ledger


async def adopt(ledger: Ledger, task_id: str, state: AttemptState) -> Any:
    return await ledger.adopt_task(
        adopted_key("global", task_id),
        "global",
        "https://kling",
        Service.KLING,
        "cats",
        sender=Sender("", "f"),
        columns={"state": state, "task_id": task_id},
    )


async def test_every_change_of_a_job_is_seen_once(ledgers: Callable[[], Ledger]) -> None:
    here, elsewhere = ledgers(), ledgers()
    await adopt(elsewhere, "1", AttemptState.KEPT)
    seen = await here.glance(None)
    assert (await here.glance(seen)).moved_since(seen) == {}

    async def news() -> dict[str, bool]:
        nonlocal seen
        before, seen = seen, await here.glance(seen)
        return seen.moved_since(before)

    running = await adopt(elsewhere, "2", AttemptState.SUBMITTED)
    kept = await adopt(elsewhere, "3", AttemptState.KEPT)
    assert await news() == {running.job_key: True, kept.job_key: False}
    claimed = await elsewhere.claim(running)
    assert claimed is not None
    assert await news() == {}, "who works on it is not shown"
    await elsewhere.change(claimed, state=AttemptState.SUCCEEDED)
    assert await news() == {running.job_key: True}
    await elsewhere.change(claimed, state=AttemptState.KEPT)
    assert await news() == {running.job_key: False}
    await elsewhere.hide(running.job_key)
    assert await news() == {running.job_key: False}
    assert await news() == {}


async def test_the_hold_of_another_worker_is_seen(ledgers: Callable[[], Ledger]) -> None:
    here, elsewhere = ledgers(), ledgers()
    before = await here.glance(None)
    await elsewhere.hold()
    held = await here.glance(before)
    assert (before.held, held.held is None) == (None, False)
    await elsewhere.release_hold()
    assert (await here.glance(held)).held is None
