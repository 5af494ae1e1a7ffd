"""The memory that is free for frames, and how to get its pages at once."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import mmap
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NotEnoughMemory

if TYPE_CHECKING:
    import numpy as np

GIGABYTE = 1_000_000_000
_CGROUPS = (  # limit and use
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_MADV_POPULATE_WRITE = 23  # linux/mman.h, since Linux 5.14


def free_memory_bytes() -> int | None:
    """Return the bytes that can be allocated without swapping, or None where the system does not say.

    On Linux the smaller of MemAvailable and what the cgroup's limit leaves; elsewhere psutil's figure when
    psutil is installed, as it is in ComfyUI.
    """
    found = [value for value in (_available(), *_cgroup_room()) if value is not None]
    if found:
        return min(found)
    if importlib.util.find_spec("psutil") is None:
        return None
    import psutil  # noqa: PLC0415  # pyright: ignore[reportMissingImports, reportMissingModuleSource] - not ours

    return int(psutil.virtual_memory().available)


def require_memory(needed_bytes: int, what: str, way_out: str) -> None:
    """Do nothing when `needed_bytes` are free or nobody knows what is free.

    Args:
        needed_bytes: To be allocated.
        what: What needs them, for the message: "300 frames of 1920 x 1080 px".
        way_out: The error's hint.

    Raises:
        NotEnoughMemory: Less is free.
    """
    free_bytes = free_memory_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        needed, free = (f"{size / GIGABYTE:.1f} GB" for size in (needed_bytes, free_bytes))
        raise NotEnoughMemory(f"{what} need {needed} of memory; {free} are free.", hint=way_out)


def populate(array: np.ndarray) -> None:
    """Back all pages of a contiguous array with memory in one system call; its values stay.

    Otherwise each page of 4 KiB costs a page fault when it is first written, a third of the processor time
    of decoding. Only on Linux; an older kernel refuses, and the pages are faulted in one by one.
    """
    madvise = _madvise()
    first = -(-array.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (array.ctypes.data + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if madvise is not None and length > 0:
        madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), _MADV_POPULATE_WRITE)


@functools.cache
def _madvise() -> Any:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "madvise", None)


def _available() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _cgroup_room() -> list[int]:
    room = []
    for limit_name, use_name in _CGROUPS:
        try:
            limit = (_CGROUP_ROOT / limit_name).read_text(encoding="ascii").strip()
            use = int((_CGROUP_ROOT / use_name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if limit.isdigit():
            room.append(max(0, int(limit) - use + _reclaimable(_CGROUP_ROOT / limit_name)))
    return room


def _reclaimable(limit_file: Path) -> int:
    """Return the bytes of the page cache: they count as used, but the kernel frees them on demand."""
    try:
        lines = limit_file.with_name("memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    counted = {"inactive_file", "active_file"}
    return sum(int(value) for name, value in (line.split() for line in lines) if name in counted)
