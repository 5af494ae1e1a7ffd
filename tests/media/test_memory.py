"""Fresh memory is made in one call, and nothing that is there changes."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from kling_once.media import memory

SIZE_BYTES = 64_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux makes pages ahead")
def test_a_fresh_array_gets_its_pages() -> None:
    array = np.frombuffer(mmap.mmap(-1, SIZE_BYTES), np.uint8)  # malloc may hand out pages that are in use
    before = resident_bytes()

    memory.populate(array)

    assert resident_bytes() - before > 0.9 * SIZE_BYTES


@pytest.mark.parametrize("size", [0, 1, 5000, 1_000_000])
def test_what_is_in_an_array_stays(size: int) -> None:
    array = np.arange(size, dtype=np.uint8)[1:]

    memory.populate(array)

    assert np.array_equal(array, np.arange(size, dtype=np.uint8)[1:])


def test_a_system_that_cannot_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._madvise.cache_clear()
    monkeypatch.setattr(memory.sys, "platform", "win32")
    try:
        memory.populate(np.zeros(100_000))
        assert memory._madvise() is None
    finally:
        memory._madvise.cache_clear()
