"""The slots of an account: learned from refusals; first come, first served, over all processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.budgets import Budget, Reservation
from kling_once.ledger.job import Job, job_key
from kling_once.ledger.leases import LEASE
from kling_once.ledger.slots import PROBES, RAISE_AFTER, Room
from kling_once.order import MotionControl, Order, Sender, Service, Spender, VideoUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_once.ledger.attempts import Attempt
    from kling_once.ledger.ledger import Ledger
    from tests.ledger.stores import Store

ROOM = Room("https://kling", "f", "kling-v2-6")
OTHER_ROOM = Room("https://kling", "f", "kling-v3")


class Account:
    """A vendor with so many places, and workers that send to it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.moment = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.pass_time(timedelta())
        self.ledgers = [store.open(self) for _ in range(2)]

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def pass_time(self, span: timedelta) -> None:
        self.moment += span
        self.store.set_time(self.moment)

    def ledger(self, take: int) -> Ledger:
        return self.ledgers[take % 2]

    async def order(self, take: int) -> Attempt:
        motion = MotionControl(take=take)
        key = job_key("global", motion, "i", "v")
        order = Order(b"", VideoUrl("https://x/y"), motion, Service.KLING, spender=Spender(f"p{take}", "n"))
        job = Job(key, "global", "https://kling", "i", "v", order)
        reservation = Reservation(Decimal(4), Decimal(2), Budget(None, None, None))
        return await self.ledger(take).begin(job, Sender("", "f", "legacy"), reservation)

    async def take(self, attempt: Attempt, room: Room = ROOM, most: int | None = None) -> bool:
        """Take a slot as a worker does; a look and a try must tell the same."""
        ledger = self.ledger(attempt.attempt_id - 1)
        lets = (await ledger.line(room, most)).lets(attempt)
        is_taken = await ledger.take_slot(attempt, room, most)
        assert lets or not is_taken
        return is_taken

    async def refuse(self, attempt: Attempt) -> None:
        await self.ledger(attempt.attempt_id - 1).refuse_slot(attempt, ROOM)

    async def change(self, attempt: Attempt, state: AttemptState, **changes: Any) -> None:
        await self.ledger(attempt.attempt_id - 1).change(attempt, state=state, **changes)

    async def orders(self, count: int) -> list[Attempt]:
        return [await self.order(number) for number in range(count)]


@pytest.fixture
def account(store: Store) -> Iterator[Account]:
    made = Account(store)
    yield made
    for ledger in made.ledgers:
        ledger.close()


async def running(account: Account, count: int) -> list[Attempt]:
    """Send so many tasks, all of which are accepted."""
    attempts = await account.orders(count)
    for attempt in attempts:
        assert await account.take(attempt)
        await account.change(attempt, AttemptState.SUBMITTED)
    return attempts


async def test_while_nothing_is_known_a_few_are_tried_at_once(account: Account) -> None:
    attempts = await account.orders(PROBES + 2)
    assert [await account.take(attempt) for attempt in attempts] == [True] * PROBES + [False] * 2

    await account.change(attempts[0], AttemptState.SUBMITTED)
    assert [await account.take(attempt) for attempt in attempts[PROBES:]] == [True, False]


async def test_a_refusal_teaches_how_many_there_are(account: Account) -> None:
    tasks = await running(account, 5)
    sixth, seventh = await account.order(5), await account.order(6)
    assert await account.take(sixth)
    await account.refuse(sixth)

    assert [await account.take(one) for one in (sixth, seventh)] == [False, False]
    await account.change(tasks[2], AttemptState.SUCCEEDED)
    assert [await account.take(one) for one in (seventh, sixth, seventh)] == [False, True, False]


async def test_those_on_their_way_at_a_refusal_may_still_be_accepted(account: Account) -> None:
    """Their slots are not lost when the answers come: five fit, the sixth was refused before two of them."""
    await running(account, 3)
    fourth, fifth, sixth, seventh = [await account.order(number) for number in range(3, 7)]
    for attempt in (fourth, fifth, sixth):
        assert await account.take(attempt)
    await account.refuse(sixth)
    for attempt in (fourth, fifth):
        await account.change(attempt, AttemptState.SUBMITTED)

    assert not await account.take(sixth)
    await account.change(fourth, AttemptState.SUCCEEDED)
    assert [await account.take(one) for one in (sixth, seventh)] == [True, False]
    await account.change(fifth, AttemptState.SUCCEEDED)
    assert await account.take(seventh), "there were five, and are five"


async def test_an_account_that_others_filled_is_used_up_again_without_waiting(account: Account) -> None:
    """Nothing of ours ran when Kling refused: the first that is accepted shows that this is over."""
    attempts = await account.orders(6)
    assert await account.take(attempts[0])
    await account.refuse(attempts[0])
    assert [await account.take(one) for one in attempts[:2]] == [True, False]

    for accepted, following, after in zip(attempts[:4], attempts[1:5], attempts[2:], strict=True):
        await account.change(accepted, AttemptState.SUBMITTED)
        assert [await account.take(one) for one in (following, after)] == [True, False]
    await account.change(attempts[4], AttemptState.SUBMITTED)
    assert await account.take(attempts[5])
    await account.refuse(attempts[5])
    await account.change(attempts[0], AttemptState.SUCCEEDED)
    assert [await account.take(one) for one in (attempts[5], await account.order(6))] == [True, False]


async def test_those_who_are_refused_are_served_in_the_order_they_came(account: Account) -> None:
    first, second, third = await account.orders(3)
    for attempt in (first, second, third):
        assert await account.take(attempt)
    for attempt in (third, first, second):
        await account.refuse(attempt)

    assert [await account.take(one) for one in (third, second, first)] == [False, False, True]
    await account.change(first, AttemptState.REJECTED)
    assert [await account.take(one) for one in (third, second)] == [False, True]


async def test_as_many_as_are_free_may_go_at_once(account: Account) -> None:
    tasks = await running(account, 3)
    waiting = [await account.order(number) for number in range(3, 7)]
    assert [await account.take(one, most=3) for one in waiting] == [False] * 4

    for task in tasks[:2]:
        await account.change(task, AttemptState.SUCCEEDED)
    assert [await account.take(waiting[place], most=3) for place in (3, 2, 1, 0)] == [
        False,
        False,
        True,
        True,
    ]


async def test_one_who_leaves_holds_nobody_up_and_comes_last_when_he_is_back(account: Account) -> None:
    first, second, third = await account.orders(3)
    assert await account.take(first, most=1)
    assert [await account.take(one, most=1) for one in (second, third)] == [False, False]

    await account.ledger(1).release(second)
    await account.change(first, AttemptState.FAILED)
    assert await account.take(third, most=1)
    again = await account.ledger(1).claim(second)
    assert again is not None
    assert not await account.take(again, most=1)
    await account.change(third, AttemptState.FAILED)
    assert await account.take(again, most=1)


async def test_a_slot_that_is_held_is_kept_when_it_is_asked_for_again(account: Account) -> None:
    (attempt,) = await account.orders(1)
    assert [await account.take(attempt, most=1) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("state", [AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.EXPIRED])
async def test_the_end_of_a_task_gives_its_slot_back(account: Account, state: AttemptState) -> None:
    (task,) = await running(account, 1)
    other = await account.order(1)
    assert not await account.take(other, most=1)

    await account.change(task, state)
    assert await account.take(other, most=1)


async def test_a_create_whose_answer_is_lost_keeps_its_slot(account: Account) -> None:
    lost, other = await account.orders(2)
    assert await account.take(lost, most=1)
    await account.change(lost, AttemptState.UNKNOWN)
    assert not await account.take(other, most=1)


async def test_the_slots_of_a_dead_worker_are_free_when_its_leases_have_run_out(account: Account) -> None:
    dead, waiting = await account.orders(2)
    assert await account.take(dead, most=1)
    assert not await account.take(waiting, most=1)

    account.pass_time(LEASE / 2)
    assert await account.ledger(1).renew(waiting)
    assert not await account.take(waiting, most=1)
    account.pass_time(LEASE / 2 + timedelta(seconds=1))
    assert await account.take(waiting, most=1)


async def test_a_dead_worker_at_the_head_of_the_line_holds_it_up_no_longer_than_its_lease(
    account: Account,
) -> None:
    task, dead, waiting = await account.orders(3)
    assert await account.take(task, most=1)
    assert [await account.take(one, most=1) for one in (dead, waiting)] == [False, False]

    account.pass_time(LEASE + timedelta(seconds=1))
    assert await account.ledger(0).renew(waiting)
    assert await account.take(waiting, most=1)


async def test_time_raises_what_is_believed_by_one_and_success_goes_on(account: Account) -> None:
    await running(account, 2)
    third, fourth = await account.order(2), await account.order(3)
    assert await account.take(third)
    await account.refuse(third)
    assert not await account.take(third)

    account.pass_time(RAISE_AFTER)
    for attempt in range(4):
        row = await account.ledger(attempt).attempt(attempt + 1)
        assert await account.ledger(attempt).renew(row)
    assert [await account.take(one) for one in (third, fourth)] == [True, False]
    await account.change(third, AttemptState.SUBMITTED)
    assert await account.take(fourth), "more fit than the refusal said"


async def test_an_account_that_was_idle_for_long_is_not_tried_by_many_at_once(account: Account) -> None:
    tasks = await running(account, 2)
    third = await account.order(2)
    assert await account.take(third)
    await account.refuse(third)
    for attempt in (*tasks, third):
        await account.change(attempt, AttemptState.REJECTED)

    account.pass_time(20 * RAISE_AFTER)
    attempts = [await account.order(number) for number in range(3, 7)]
    assert [await account.take(attempt) for attempt in attempts] == [True, True, True, False]


async def test_the_operators_number_holds_whatever_is_believed(account: Account) -> None:
    attempts = await account.orders(3)
    assert [await account.take(attempt, most=2) for attempt in attempts] == [True, True, False]


async def test_models_have_slots_of_their_own(account: Account) -> None:
    one, other = await account.orders(2)
    assert await account.take(one, most=1)
    assert await account.take(other, OTHER_ROOM, most=1)
