"""Single flight: done once, shared by all who ask, cancelled when nobody waits."""

from __future__ import annotations

import asyncio

import pytest

from kling_once.concurrency import SingleFlight


async def test_callers_of_one_key_share_one_result() -> None:
    flights = SingleFlight[int]()
    begun: list[str] = []

    async def work(key: str) -> int:
        begun.append(key)
        await asyncio.sleep(0.01)
        return len(begun)

    results = await asyncio.gather(*(flights.run(key, lambda key=key: work(key)) for key in "aaba"))
    assert begun == ["a", "b"]
    assert results == [2, 2, 2, 2]
    assert await flights.run("a", lambda: work("a")) == 3


async def test_every_caller_gets_the_error_and_the_next_one_begins_anew() -> None:
    flights = SingleFlight[str]()

    async def fail() -> str:
        await asyncio.sleep(0.01)
        raise ValueError("no")

    async def succeed() -> str:
        return "yes"

    ended = await asyncio.gather(*(flights.run("a", fail) for _ in range(2)), return_exceptions=True)
    assert [str(error) for error in ended] == ["no", "no"]
    assert await flights.run("a", succeed) == "yes"


async def test_work_goes_on_while_somebody_waits_and_is_cancelled_when_nobody_does() -> None:
    flights = SingleFlight[None]()
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    first, second = (asyncio.create_task(flights.run("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not cancelled.is_set()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await asyncio.wait_for(cancelled.wait(), 60)
