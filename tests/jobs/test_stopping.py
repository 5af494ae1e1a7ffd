"""Reading, checking and uploading make room as soon as nobody waits for them."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.errors import MediaStopped
from kling_once.jobs.progress import Stage
from kling_once.media.digest import copy_and_digest
from kling_once.media.picture import read_picture
from kling_once.media.types import Frames
from kling_once.order import VideoFrames
from tests.host.relay import Relay
from tests.slowness import slowness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.conftest import SandboxControl
    from tests.jobs.conftest import LedgerFile


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
        return [thread.name for thread in threading.enumerate() if "kling-once-media" in thread.name]

    eventually(lambda: not working(), "the end of the reading")


def test_an_upload_that_nobody_waits_for_is_called_off(
    sandbox: SandboxControl,
    engines: Callable[..., Engine],
    order: Callable[..., Any],
    eventually: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    with Relay(sandbox.origin, b"POST /sandbox/files ") as relay:
        relay.hold()
        engine = engines(sandbox_url=relay.origin)
        future = engine.run(order())
        eventually(
            lambda: [news.stage for news in engine.under_way().values()] == [Stage.UPLOAD], "the upload"
        )
        future.cancel()
        eventually(lambda: not engine.under_way(), "the end of the upload", seconds=5 * slowness())
        assert ledger_file.rows()[0]["units_reserved"] is None

        relay.let_through()
        assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


def test_reading_a_clip_stops_when_asked(small_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaStopped):
        copy_and_digest(small_clip, tmp_path / "copy.mp4", stop=lambda: True)


def test_reading_a_picture_stops_when_asked(small_picture: Path) -> None:
    with pytest.raises(MediaStopped):
        read_picture(small_picture, stop=lambda: True)
