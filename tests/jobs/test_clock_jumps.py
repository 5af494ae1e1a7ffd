"""Somebody sets the clock, or it was wrong all along: nothing is bought twice, and nothing waits for ever."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kling_once.clock import SystemClock
from kling_once.ledger.leases import RENEW_SECONDS
from tests.host.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

LOOKS_BEFORE_CREATE = ("ok",) * 4


class WallClock(SystemClock):
    """A wall clock that a test sets; the monotonic one runs on."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.jumps: list[timedelta] = []

    def now(self) -> datetime:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        if self.jumps:
            self.ahead += self.jumps.pop()
        await super().sleep(seconds)


class SleepingClock(WallClock):
    """The clock of a machine that sleeps: heartbeats stop, and the wall clock has gone on when it wakes."""

    async def sleep(self, seconds: float) -> None:
        if seconds == RENEW_SECONDS:
            await asyncio.Event().wait()
        await super().sleep(seconds)


@pytest.fixture
def large_picture(tmp_path: Path) -> Path:
    """5 MB in base64: more than the system takes in from one who sends."""
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (1150, 1150, 3), np.uint8)).save(path)
    return path


@pytest.mark.both_generations
def test_a_machine_that_sleeps_in_mid_create_does_not_complete_it_after_a_takeover(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    large_picture: Path,
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    clock = SleepingClock()
    create = b"POST /motion-control" if sandbox.generation == "standard" else b"POST /v1/videos"
    with Relay(sandbox.origin, create) as relay:
        relay.hold()
        first = engines(clock=clock, sandbox_url=relay.origin).run(order(image=large_picture))
        eventually(lambda: relay.begun, "the first create")
        ledger_file.change(lease_until=0)
        second = engines(sandbox_url=relay.origin, settle_seconds=0.2).run(order(image=large_picture))
        eventually(lambda: relay.begun == 2, "the second create")
        clock.ahead = timedelta(minutes=5)
        relay.let_through()

        assert second.result(60).attempt.task_id == first.result(60).attempt.task_id
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


@pytest.mark.parametrize("jump", [timedelta(hours=2), timedelta(hours=-2)], ids=["forward", "back"])
def test_a_jump_while_settling_neither_shortens_nor_stretches_it(
    jump: timedelta, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    clock = WallClock()
    engine = engines(clock=clock, settle_seconds=2)
    sandbox.script("create", "accept-late-0.8")
    clock.jumps = [jump]

    outcome = engine.run(order()).result(60)

    assert outcome.path.is_file()
    assert not clock.jumps
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_an_attempt_lost_in_the_future_is_settled_in_the_usual_time(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    """The clock was wrong when the answer was lost, and is right now."""
    clock = WallClock()
    clock.ahead = timedelta(days=3)
    first = engines(clock=clock, settle_seconds=0.1)
    sandbox.script("create", "reset-after-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, *["status-502"] * 60)
    with pytest.raises(Exception, match="not known whether"):
        first.run(order()).result(30)
    first.close()
    sandbox.script("get")

    assert engines().run(order()).result(60).path.is_file()
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=-400)], ids=["ahead", "behind"])
def test_a_clock_that_is_wrong_all_along_changes_nothing(
    ahead: timedelta, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    clock = WallClock()
    clock.ahead = ahead
    engine = engines(clock=clock)
    sandbox.script("create", "reset-after-accept")

    first = engine.run(order()).result(30)
    again = engine.run(order()).result(30)

    assert first.path.is_file()
    assert again.reused
    assert len(sandbox.creates()) == 1


def test_a_second_process_whose_clock_is_ahead_takes_over_and_does_not_pay_again(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    clock = WallClock()
    clock.ahead = timedelta(hours=1)
    sandbox.script("create", "stall-1-after-accept")
    first = engines().run(order())
    eventually(sandbox.tasks, "the task")

    second = engines(clock=clock, settle_seconds=2).run(order())

    assert second.result(30).attempt.task_id == first.result(30).attempt.task_id
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
