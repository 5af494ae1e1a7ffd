"""Who waits for a full account looks again and backs off; with a clock that only a test moves.

Who comes first is served first: that is the ledger's, see tests/ledger/test_slots.py.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from kling_once.jobs.submit import LONGEST_PAUSE_SECONDS, Ticket


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


def ticket(clock: FakeClock, *answers: bool, poll_seconds: float = 5.0) -> Ticket:
    left = iter(answers)

    async def take() -> bool:
        return next(left, True)

    return Ticket(take, asyncio.Event().wait, clock, poll_seconds)


async def test_an_account_with_room_keeps_nobody_waiting() -> None:
    clock = FakeClock()
    await ticket(clock).turn()
    assert clock.slept == []


async def test_who_waits_looks_every_second_or_as_often_as_at_a_task() -> None:
    clock = FakeClock()
    await ticket(clock, False, False).turn()
    await ticket(clock, False, poll_seconds=0.5).turn()
    assert clock.slept == [1, 1, 0.5]


async def test_who_waits_looks_as_soon_as_something_moves() -> None:
    answers = iter([False, True])
    moved = asyncio.Event()

    class Patient(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(3600)

    async def take() -> bool:
        return next(answers)

    turn = asyncio.create_task(Ticket(take, moved.wait, Patient(), 5.0).turn())
    await asyncio.sleep(0)
    moved.set()
    async with asyncio.timeout(60):
        await turn


async def test_pauses_grow_up_to_a_limit() -> None:
    clock = FakeClock()
    held = ticket(clock)
    for _ in range(8):
        await held.refused()
    assert clock.slept == [1, 2, 4, 8, 16, *[LONGEST_PAUSE_SECONDS] * 3]


async def test_an_account_that_stays_full_for_a_day_is_still_waited_for() -> None:
    clock = FakeClock()
    held = ticket(clock)
    for _ in range(5000):
        await held.refused()
    assert clock.slept[-1] == LONGEST_PAUSE_SECONDS
