"""How much slower than alone this machine is at the moment: what a bound in seconds is held against."""

from __future__ import annotations

import time

WORK_SECONDS = 0.2


def slowness() -> float:
    """Return how many times longer than alone work takes on this machine now, at least 1."""
    began, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < WORK_SECONDS:
        pass
    return max(1.0, (time.monotonic() - began) / WORK_SECONDS)


class Stopwatch:
    """Tells how many seconds something would have taken on a machine that does nothing else."""

    def __init__(self) -> None:
        self._slowness = slowness()
        self._began = time.monotonic()

    def restart(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()

    def seconds(self, ended: float | None = None) -> float:
        """Return the seconds until now, or until `ended` of the monotonic clock."""
        took = (time.monotonic() if ended is None else ended) - self._began
        return took / max(self._slowness, slowness())
