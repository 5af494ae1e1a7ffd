"""Nobody waits for the sandbox longer than it needs to make its video."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kling_once.demo import CHARACTER, MOTION
from kling_once.order import VideoFile

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

TAKES = 3


def slowness() -> float:
    """Return how many times longer than alone work takes on this machine now."""
    began, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < 0.3:
        pass
    return max(1.0, (time.monotonic() - began) / 0.3)


def test_the_demo_is_made_in_under_three_seconds_in_the_embedded_sandbox(
    engines: Callable[..., Any], order: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of three, on a machine that has nothing else to do."""
    monkeypatch.delenv("KLING_ONCE_POLL_SECONDS")
    engine = engines()
    took = []
    for take in range(TAKES):
        before, began = slowness(), time.monotonic()
        made = engine.run(order(image=CHARACTER, video=VideoFile(MOTION), take=take)).result(60)
        seconds = time.monotonic() - began
        assert made.path.is_file()
        took.append(seconds / max(before, slowness()))
    assert min(took) < 3
