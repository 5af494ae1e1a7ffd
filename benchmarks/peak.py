"""How much memory a process takes at its worst while something runs."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY_SECONDS = 0.01


class Peak:
    """Bytes above what the process held at the start."""

    def __init__(self) -> None:
        self.start_bytes = resident_bytes()
        self.most_bytes = self.start_bytes

    @property
    def added_bytes(self) -> int:
        """Return the largest growth that was seen."""
        return self.most_bytes - self.start_bytes


def resident_bytes() -> int:
    """Return this process' resident set."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil  # noqa: PLC0415 - only where there is no /proc

    return int(psutil.Process().memory_info().rss)


@contextmanager
def watched() -> Iterator[Peak]:
    """Sample the resident set every 10 ms while the block runs."""
    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(_EVERY_SECONDS):
            peak.most_bytes = max(peak.most_bytes, resident_bytes())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak.most_bytes = max(peak.most_bytes, resident_bytes())
