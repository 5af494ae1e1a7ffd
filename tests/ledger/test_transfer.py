"""Rows of one ledger copied into another, on either database: what is there already is left as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.clock import SystemClock
from kling_once.errors import JobError
from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.budgets import Budget, Reservation
from kling_once.ledger.job import Job, job_key
from kling_once.order import Graph, MotionControl, Order, Sender, Service, Spender, VideoUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kling_once.ledger.attempts import Attempt
    from kling_once.ledger.ledger import Ledger
    from tests.ledger.stores import Store


@pytest.fixture
def pair(stores: Callable[[], Store]) -> Iterator[tuple[Ledger, Ledger]]:
    """Two ledgers that know nothing of each other."""
    made = stores(), stores()
    opened = made[0].open(SystemClock()), made[1].open(SystemClock())
    yield opened
    for store, ledger in zip(made, opened, strict=True):
        ledger.close()
        store.close()


async def begun(ledger: Ledger, take: int, fingerprint: str = "of here") -> Attempt:
    motion = MotionControl(take=take)
    order = Order(b"", VideoUrl("https://x/y"), motion, Service.KLING, spender=Spender("p", "n"))
    job = Job(job_key("global", motion, "i", "v"), "global", "https://kling", "i", "v", order)
    reservation = Reservation(Decimal(4), Decimal(2), Budget(None, None, None))
    return await ledger.begin(job, Sender("", fingerprint, "legacy"), reservation)


async def submitted(ledger: Ledger, take: int, task_id: str) -> Attempt:
    attempt = await ledger.change(
        await begun(ledger, take), state=AttemptState.SUBMITTED, task_id=task_id, posts=1
    )
    await ledger.release(attempt)
    return attempt


async def copied(source: Ledger, target: Ledger, **fingerprints: str) -> Any:
    names = {name.replace("_", " "): value for name, value in fingerprints.items()}
    return await target.write_all(await source.read_all(), names)


async def test_what_is_copied_twice_is_there_once(pair: tuple[Ledger, Ledger]) -> None:
    source, target = pair
    for take in range(3):
        await submitted(source, take, f"task-{take}")

    first = await copied(source, target, of_here="of there")
    second = await copied(source, target, of_here="of there")

    assert (first.jobs, first.attempts, first.known, first.left_out) == (3, 3, 0, ())
    assert (second.jobs, second.attempts, second.known, second.left_out) == (0, 0, 3, ())
    found = await target.find_attempt("task-1")
    assert found is not None
    assert found.fingerprint == "of there", "the other ledger has a key of its own for fingerprints"
    assert await target.claim(found) is not None, "nobody holds it there"


async def test_what_has_gone_on_meanwhile_is_not_put_back(pair: tuple[Ledger, Ledger]) -> None:
    source, target = pair
    await submitted(source, 0, "task-0")
    await copied(source, target)
    found = await target.find_attempt("task-0")
    assert found is not None
    claimed = await target.claim(found)
    assert claimed is not None
    await target.change(claimed, state=AttemptState.KEPT, result_path="a.mp4")

    assert (await copied(source, target)).known == 1
    again = await target.find_attempt("task-0")
    assert again is not None
    assert again.state is AttemptState.KEPT


async def test_an_order_that_nobody_has_sent_holds_no_units_in_the_copy(pair: tuple[Ledger, Ledger]) -> None:
    source, target = pair
    attempt = await begun(source, 0)
    await source.change(attempt, owner=None, lease_until=None)
    await submitted(source, 1, "task-1")

    await copied(source, target)

    spent = await target.spent(Service.KLING, Spender("p", "n"))
    assert spent.by_prompt == Decimal(2), "of the task alone"


async def test_another_task_of_the_same_number_is_named_and_left_out(pair: tuple[Ledger, Ledger]) -> None:
    source, target = pair
    attempt = await submitted(source, 0, "bought here")
    await submitted(target, 0, "bought there")

    done = await copied(source, target)

    assert (done.attempts, done.known, done.left_out) == (0, 0, (attempt.external_id,))
    found = await target.find_attempt("bought there")
    assert found is not None


async def test_a_ledger_at_work_is_not_copied(pair: tuple[Ledger, Ledger]) -> None:
    source, target = pair
    attempt = await begun(source, 0)

    with pytest.raises(JobError, match=f"Job {attempt.job_key[:10]} is worked on by") as caught:
        await copied(source, target)
    assert "End ComfyUI" in caught.value.hint
    assert await target.find_attempt(attempt.external_id) is None


async def test_the_workflow_of_a_job_and_what_its_graph_has_ordered_come_with_it(
    pair: tuple[Ledger, Ledger],
) -> None:
    source, target = pair
    kept, failed = await submitted(source, 0, "task-0"), await submitted(source, 1, "task-1")
    for attempt in (kept, failed):
        await source.remember_graph(attempt.job_key, Graph("graph", {"nodes": [attempt.number]}))
    for attempt, changes in (
        (kept, {"state": AttemptState.KEPT, "result_path": "a.mp4", "result_size_bytes": 7}),
        (failed, {"state": AttemptState.FAILED}),
    ):
        claimed = await source.claim(attempt)
        assert claimed is not None
        await source.release(await source.change(claimed, **changes))

    await copied(source, target)

    for ledger in pair:
        assert await ledger.workflow_of(kept.job_key) == {"nodes": [1]}
        assert await ledger.times_failed("graph") == 1
        assert await ledger.kept_files("graph") == [("a.mp4", 7)]
        assert await ledger.ordered_jobs("graph") == {kept.job_key: "global", failed.job_key: "global"}
        assert await ledger.ordered_jobs("another") == {}
