"""One job under way in this process, and those who wait for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..errors import StillRunning
from .progress import Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from ..clock import Clock
    from .outcome import Outcome

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2


class Flight:
    """Shared by everybody who orders the same job at the same time: it is done once."""

    def __init__(self, key: str, clock: Clock, watcher: Callable[[Progress], None] | None = None) -> None:
        self.key = key
        self.clock = clock
        self.progress = Progress(Stage.CHECK, "checking", key)
        self.task: asyncio.Task[Outcome] | None = None
        self._waiters = 0
        self._listeners: list[Callable[[Progress], None]] = [watcher] if watcher else []
        self._accepted_at: float | None = None

    def start(self, work: Coroutine[Any, Any, Outcome], on_end: Callable[[], object]) -> None:
        """Begin; an outcome that nobody waits for any more is logged."""
        self.task = asyncio.create_task(work, name=f"kling-once {self.key[:10]}")
        self.task.add_done_callback(lambda _task: on_end())
        self.task.add_done_callback(self._ended)

    @property
    def wanted(self) -> bool:
        """Tell whether somebody waits."""
        return self._waiters > 0

    @property
    def is_sending(self) -> bool:
        """Tell whether a create may be on the wire right now."""
        return self.task is not None and not self.task.done() and self.progress.stage is Stage.SUBMIT

    def tell(self, progress: Progress) -> None:
        """Pass news on."""
        self.progress = progress
        if progress.task_id and self._accepted_at is None:
            self._accepted_at = self.clock.monotonic()
        for listener in self._listeners:
            self._tell(listener, progress)

    async def wait(self, wait_minutes: float, listener: Callable[[Progress], None] | None) -> Outcome:
        """Wait for the outcome; the minutes count from the vendor's acceptance.

        Raises:
            StillRunning: the minutes are over; the task goes on.
        """
        if self.task is None:
            raise RuntimeError("the flight has not been started")
        began = self.clock.monotonic()
        self._waiters += 1
        if listener:
            self._listeners.append(listener)
            self._tell(listener, self.progress)
        try:
            while not self.task.done():
                await asyncio.wait({self.task}, timeout=LOOK_SECONDS)
                if self._is_over(began, wait_minutes) and not self.task.done():
                    raise self._still_running(wait_minutes)
            return self.task.result()
        finally:
            self._waiters -= 1
            if listener:
                self._listeners.remove(listener)

    def _tell(self, listener: Callable[[Progress], None], progress: Progress) -> None:
        """Tell one; a display that fails must not end what others wait for, and what may be paid."""
        try:
            listener(progress)
        except Exception as error:  # noqa: BLE001 - foreign code at an edge
            logger.debug("A listener failed: %r", error)

    def _is_over(self, began: float, wait_minutes: float) -> bool:
        if self._accepted_at is None:
            return False
        return self.clock.monotonic() - max(began, self._accepted_at) > wait_minutes * 60

    def _still_running(self, wait_minutes: float) -> StillRunning:
        return StillRunning(
            f"The task is not done after {wait_minutes:g} minutes ({self.progress.text});"
            " it goes on at Kling.",
            hint="Run the same again to pick it up: that costs nothing.",
            task_id=self.progress.task_id,
        )

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self.wanted:
            logger.info("Job %s ended while nobody waited: %s", self.key[:10], error)
