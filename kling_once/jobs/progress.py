"""What a waiting person is told."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


class Stage(StrEnum):
    """Where a job stands, in the order in which it passes them."""

    CHECK = "check"
    CONFORM = "conform"
    UPLOAD = "upload"
    QUEUE = "queue"
    """Waits for a place among the tasks that may run at once."""
    SUBMIT = "submit"
    SETTLE = "settle"
    """Finds out what became of a create whose answer was lost."""
    WAIT = "wait"
    DOWNLOAD = "download"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news about a job."""

    stage: Stage
    text: str
    job_key: str = ""
    task_id: str | None = None
    done: int = 0
    total: int = 0
    """Steps of this stage, such as bytes or frames; 0 when unknown."""


Watcher: TypeAlias = "Callable[[str, str], None]"

logger = logging.getLogger(__name__)


class Watchers:
    """Call every watcher with a job's key and its stage, once for each change; `ended` is the last."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []
        self._last: dict[str, tuple[str, str | None]] = {}
        self._lock = threading.Lock()

    def add(self, watcher: Watcher) -> None:
        """Begin to tell this one; it must return at once."""
        with self._lock:
            self._watchers.append(watcher)

    def hear(self, progress: Progress) -> None:
        """Take news of a job."""
        news = progress.stage.value, progress.task_id
        if progress.job_key and self._last.get(progress.job_key) != news:
            self._last[progress.job_key] = news
            self.tell(progress.job_key, progress.stage.value)

    def ended(self, job_key: str) -> None:
        """Take the news that nothing goes on for a job any more."""
        self._last.pop(job_key, None)
        self.tell(job_key, "ended")

    def tell(self, job_key: str, state: str) -> None:
        """Tell everybody."""
        with self._lock:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            try:
                watcher(job_key, state)
            except Exception:
                logger.exception("A watcher of jobs failed.")


SHARED: Final = Watchers()
"""Of the engine that everybody in this process shares; it may not have been made yet."""
