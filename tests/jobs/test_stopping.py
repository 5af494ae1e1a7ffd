"""Reading and checking make room as soon as nobody waits for them."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_direct.jobs.job import VideoFrames
from kling_direct.media.types import Frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_direct.jobs.engine import Engine


class EndlessFrames:
    """More frames than anybody reads in a test; it counts those that are read."""

    shape = (10_000_000, 360, 360, 3)

    def __init__(self) -> None:
        self.read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        self.read += 1
        return np.zeros(self.shape[1:], np.float32)


@pytest.fixture
def endless(order: Callable[..., Any]) -> Callable[[], tuple[Any, EndlessFrames]]:
    def make() -> tuple[Any, EndlessFrames]:
        frames = EndlessFrames()
        return order(video=VideoFrames(Frames(frames, Fraction(25)))), frames

    return make


@pytest.mark.parametrize("asked", ["check", "run"])
def test_what_nobody_waits_for_makes_room_for_others(
    asked: str,
    endless: Callable[[], tuple[Any, EndlessFrames]],
    engine: Engine,
    order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    for _ in range(5):  # more than work at once
        waiting, frames = endless()
        future = getattr(engine, asked)(waiting)
        eventually(lambda frames=frames: frames.read > 2, "the reading")
        future.cancel()
    assert engine.check(order()).result(timeout=20).ok


def test_what_runs_when_an_engine_is_closed_ends(
    endless: Callable[[], tuple[Any, EndlessFrames]],
    engines: Callable[..., Engine],
    eventually: Callable[..., Any],
) -> None:
    engine = engines()
    waiting, frames = endless()
    engine.check(waiting)
    eventually(lambda: frames.read > 2, "the reading")
    engine.close()

    def working() -> list[str]:
        return [thread.name for thread in threading.enumerate() if "kling-direct-media" in thread.name]

    eventually(lambda: not working(), "the end of the reading")
