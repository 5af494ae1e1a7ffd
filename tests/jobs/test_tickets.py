"""Who waits for a full account is served first come, first served; with a clock that only a test moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from kling_once.jobs.services import LONGEST_PAUSE_SECONDS, TicketQueue


class FakeClock:
    """Sleeping takes no time and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def serve(queue: TicketQueue, name: str, refusals: dict[str, int], served: list[str]) -> None:
    with queue.ticket() as ticket:
        while True:
            await ticket.turn()
            if refusals[name] == 0:
                served.append(name)
                return
            refusals[name] -= 1
            await ticket.refused(1.0)


async def test_an_account_with_room_keeps_nobody_waiting() -> None:
    queue, served = TicketQueue(FakeClock()), []
    await asyncio.gather(*(serve(queue, name, {name: 0}, served) for name in "abc"))
    assert served == ["a", "b", "c"]


async def test_those_who_are_refused_are_served_in_the_order_they_came() -> None:
    queue, served = TicketQueue(FakeClock()), []
    refusals = {"a": 3, "b": 1, "c": 2, "d": 1}
    async with asyncio.timeout(5):
        await asyncio.gather(*(serve(queue, name, refusals, served) for name in "abcd"))
    assert served == ["a", "b", "c", "d"]


async def test_one_who_comes_later_does_not_overtake_and_one_who_leaves_holds_nobody_up() -> None:
    queue, served = TicketQueue(FakeClock()), []
    with queue.ticket() as first:
        await first.refused(1.0)
        second = asyncio.create_task(serve(queue, "second", {"second": 0}, served))
        third = asyncio.create_task(serve(queue, "third", {"third": 0}, served))
        await asyncio.sleep(0.05)
        assert not served
        second.cancel()
        await asyncio.wait({second})
        assert not served
    async with asyncio.timeout(5):
        await third
    assert served == ["third"]
    assert not queue.is_full


async def test_pauses_grow_up_to_a_limit() -> None:
    clock = FakeClock()
    with TicketQueue(clock).ticket() as ticket:
        for _ in range(8):
            await ticket.refused(1.0)
    assert clock.slept == [1, 2, 4, 8, 16, *[LONGEST_PAUSE_SECONDS] * 3]


async def test_an_account_that_stays_full_for_a_day_is_still_waited_for() -> None:
    clock = FakeClock()
    with TicketQueue(clock).ticket() as ticket:
        for _ in range(5000):
            await ticket.refused(1.0)
    assert clock.slept[-1] == LONGEST_PAUSE_SECONDS
