"""Frames are large and a task takes minutes: nobody keeps them in memory while Kling works."""

from __future__ import annotations

import weakref
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.errors import TaskFailed
from kling_once.media.types import Frames
from kling_once.order import VideoFrames

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import SandboxControl
    from tests.jobs.conftest import LedgerFile


@pytest.fixture
def frames_order(order: Callable[..., Any]) -> Callable[[], Any]:
    """Make an order of 3 s of frames, each time the same."""

    def make() -> Any:
        frames = np.zeros((30, 360, 360, 3), np.float32)
        for number, frame in enumerate(frames):
            frame[:, number * 8 : number * 8 + 24] = 0.8
        return order(video=VideoFrames(Frames(frames, Fraction(10))))

    return make


def frames_of(order: Any) -> weakref.ref[np.ndarray]:
    return weakref.ref(order.video.frames.frames)


@pytest.mark.parametrize("waits", ["submit", "run, interrupted"])
def test_frames_are_let_go_of_while_the_task_goes_on(
    waits: str,
    sandbox: SandboxControl,
    engine: Any,
    frames_order: Callable[[], Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    ordered = frames_order()
    frames = frames_of(ordered)
    future = engine.submit(ordered) if waits == "submit" else engine.run(ordered)
    del ordered
    eventually(lambda: ledger_file.states() == ["submitted"], "the task")
    future.cancel()
    del future

    eventually(lambda: frames() is None, "nobody holds the frames")
    assert engine.under_way()

    sandbox.move(policy="at once")
    eventually(lambda: ledger_file.states() == ["kept"], "the video")


def test_frames_of_a_task_that_is_picked_up_are_let_go_of(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    frames_order: Callable[[], Any],
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = engines()
    first.submit(frames_order()).result(30)
    first.close()
    ordered = frames_order()
    frames = frames_of(ordered)
    again = engines()
    again.submit(ordered).result(30)
    del ordered

    eventually(lambda: frames() is None, "nobody holds the frames")
    assert again.under_way()
    assert len(sandbox.creates()) == 1


def test_an_order_whose_frames_were_let_go_of_is_run_again_after_a_failure(
    sandbox: SandboxControl, engine: Any, frames_order: Callable[[], Any]
) -> None:
    sandbox.script("create", "task-failed")
    ordered = frames_order()
    with pytest.raises(TaskFailed):
        engine.run(ordered).result(30)

    outcome = engine.run(ordered).result(30)

    assert outcome.attempt.number == 2
    assert outcome.path.name.startswith("SANDBOX_figure_frames_")
    assert len(sandbox.creates()) == 2
