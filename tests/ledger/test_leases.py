"""Who may act on an attempt."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from kling_once.errors import LeaseLost, LedgerNotWritable, TaskFailed
from kling_once.ledger.leases import (
    LEASE,
    RENEW_SECONDS,
    HeldLease,
    Owner,
    renewed,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process import Process


class QuickClock:
    """Every sleep is over at once."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        assert seconds == RENEW_SECONDS
        await asyncio.sleep(0.001)


def test_a_lease_is_renewed_several_times_before_it_ends() -> None:
    assert timedelta(seconds=3 * RENEW_SECONDS) <= LEASE


async def test_a_lease_is_renewed_for_as_long_as_the_work_goes_on() -> None:
    seen = asyncio.Event()
    renewals: list[int] = []

    async def renew() -> bool:
        renewals.append(1)
        if len(renewals) == 5:
            seen.set()
        return True

    async with asyncio.timeout(60), renewed(renew, HeldLease(QuickClock())):
        await seen.wait()
    assert len(renewals) >= 5


async def test_work_stops_when_its_lease_is_lost() -> None:
    async def refused() -> bool:
        return False

    async with asyncio.timeout(60):
        with pytest.raises(LeaseLost):
            async with renewed(refused, HeldLease(QuickClock())):
                await asyncio.sleep(60)
        await asyncio.sleep(0)


class SetClock(QuickClock):
    """Both times are what a test sets."""

    def __init__(self) -> None:
        self.seconds, self.moment = 0.0, datetime(2026, 11, 29, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds

    def run_on(self, seconds: float) -> None:
        self.seconds += seconds
        self.moment += timedelta(seconds=seconds)


def test_a_lease_is_certain_for_as_long_as_it_lasts_and_from_each_renewal_on() -> None:
    clock = SetClock()
    lease = HeldLease(clock)
    clock.run_on(40)
    moment = lease.moment()
    clock.run_on(19)
    assert lease.is_certain()
    clock.run_on(1)
    assert not lease.is_certain()
    lease.extend(moment)
    assert lease.is_certain()
    clock.run_on(40)
    assert not lease.is_certain()


@pytest.mark.parametrize(("awake", "asleep"), [(61, 0), (0, 61)])
def test_a_lease_is_not_certain_after_a_sleep_of_the_machine_or_a_clock_that_is_set(
    awake: float, asleep: float
) -> None:
    clock = SetClock()
    lease = HeldLease(clock)
    clock.seconds += awake
    clock.moment += timedelta(seconds=asleep)
    assert not lease.is_certain()


@pytest.mark.parametrize("is_ours", [True, False])
async def test_only_a_renewal_that_was_granted_makes_a_lease_certain_again(is_ours: bool) -> None:
    clock = SetClock()
    lease = HeldLease(clock)
    clock.run_on(59)
    asked = asyncio.Event()

    async def renew() -> bool:
        asked.set()
        return is_ours

    async with asyncio.timeout(60):
        with suppress(LeaseLost):
            async with renewed(renew, lease):
                with anyio.CancelScope(shield=True):  # as a create on the wire is
                    await asked.wait()
                    await asyncio.sleep(0.01)
                    clock.run_on(2)
                    assert lease.is_certain() is is_ours


@pytest.mark.parametrize("trouble", [LedgerNotWritable("busy"), RuntimeError("nobody thought of this")])
async def test_a_ledger_that_fails_for_a_while_loses_no_lease_and_is_told_of_once(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([trouble, trouble, True, trouble])
    done = asyncio.Event()

    async def renew() -> bool:
        answer = next(answers, None)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            done.set()
        return True

    async with asyncio.timeout(60), renewed(renew, HeldLease(QuickClock())):
        await done.wait()
    warned = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 2, "each outage once"


async def test_a_renewal_that_fails_does_not_hide_the_outcome() -> None:
    seen = asyncio.Event()

    async def renew() -> bool:
        seen.set()
        raise RuntimeError("nobody thought of this")

    async def fail() -> None:
        async with asyncio.timeout(60), renewed(renew, HeldLease(QuickClock())):
            await seen.wait()
            await asyncio.sleep(0.01)
            raise TaskFailed("the vendor's reason")

    with pytest.raises(TaskFailed):
        await fail()


def test_a_living_owner_is_not_dead_and_a_closed_one_is(tmp_path: Path) -> None:
    one, two = Owner(tmp_path), Owner(tmp_path)
    assert not two.is_dead(one.name)
    assert not two.is_dead(two.name)

    one.close()

    assert two.is_dead(one.name)
    two.close()


def test_a_killed_owner_is_dead_to_everybody_who_asks(
    python: Callable[..., Process], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    process = python(
        "-c",
        "import sys, time; from pathlib import Path; from kling_once.ledger.leases import Owner;"
        "o = Owner(Path(sys.argv[1])); Path(sys.argv[2]).write_text(o.name); time.sleep(60)",
        str(tmp_path / "owners"),
        str(tmp_path / "name"),
    )
    name = eventually(lambda: (tmp_path / "name").exists() and (tmp_path / "name").read_text(), "a name")
    one, two = Owner(tmp_path / "owners"), Owner(tmp_path / "owners")
    assert not one.is_dead(name)

    process.kill()

    assert [owner.is_dead(name) for owner in (one, one, two, two)] == [True] * 4
    one.close()
    two.close()


def test_an_owner_on_another_machine_is_never_called_dead(tmp_path: Path) -> None:
    """Locks do not reach from one machine to another on every shared folder."""
    owner = Owner(tmp_path)
    other = f"elsewhere{owner.name}"
    (tmp_path / f"{other}.lock").touch()

    assert not owner.is_dead(other)
    assert not owner.is_dead("gone-1-00000000")
    owner.close()
