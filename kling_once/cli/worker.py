"""Collect and settle what any process of the ledger has submitted, for machines without a ComfyUI."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ..errors import KlingOnceError, LedgerError, LedgerNotWritable
from ..order import EMBEDDED_ORIGIN

if TYPE_CHECKING:
    from ..jobs.engine import Engine
    from ..ledger.attempts import Attempt

logger = logging.getLogger(__name__)

LONGEST_MINUTES: Final = 24 * 60.0
FIRST_PAUSE_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 3600.0
LEDGER_PAUSE_SECONDS: Final = 10.0
"""While the ledger takes nothing; that says nothing about a task."""


class Worker:
    """Watches the ledger; what cannot be collected now is tried again after growing pauses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._outage = ""
        """Why the ledger takes nothing, as it was logged; empty again once all is collected."""
        self._running: dict[int, asyncio.Task[None]] = {}
        self._failures: dict[int, tuple[int, float]] = {}
        """How often an attempt was given up, and until when it is left alone."""

    async def look(self) -> int:
        """Begin to collect what nobody works on; return how much is being collected."""
        ledger = await self._engine.ledger()
        collectable = await ledger.collectable()
        if not collectable:
            self._outage = ""
        for attempt in collectable:
            if attempt.origin == EMBEDDED_ORIGIN and ledger.is_shared:
                continue  # that sandbox lies in another home
            _failures, until = self._failures.get(attempt.attempt_id, (0, 0.0))
            if attempt.attempt_id not in self._running and until <= self._engine.clock.monotonic():
                task = asyncio.create_task(self._collect(attempt))
                self._running[attempt.attempt_id] = task
        return len(self._running)

    async def _collect(self, attempt: Attempt) -> None:
        name = attempt.task_id or attempt.external_id
        try:
            outcome = await self._engine.collect(name, wait_minutes=LONGEST_MINUTES)
        except LedgerNotWritable as error:
            times, _until = self._failures.get(attempt.attempt_id, (0, 0.0))
            self._failures[attempt.attempt_id] = times, self._engine.clock.monotonic() + LEDGER_PAUSE_SECONDS
            if error.message != self._outage:
                self._outage = error.message
                logger.warning("%s", error)
        except KlingOnceError as error:
            times = self._failures.get(attempt.attempt_id, (0, 0.0))[0] + 1
            pause = min(FIRST_PAUSE_SECONDS * 2 ** (times - 1), LONGEST_PAUSE_SECONDS)
            self._failures[attempt.attempt_id] = times, self._engine.clock.monotonic() + pause
            logger.warning("%s is not collected: %s", name, error)
        else:
            self._failures.pop(attempt.attempt_id, None)
            logger.info("Task %s is kept as %s.", name, outcome.path)
        finally:
            del self._running[attempt.attempt_id]


async def work(engine: Engine, *, every_seconds: float, once: bool) -> None:
    """Collect until cancelled; a ledger that does not answer is waited for.

    Args:
        engine: on whose loop this runs.
        every_seconds: between two looks at the ledger.
        once: return when nothing is left that can be collected now.

    Raises:
        LedgerError: `once`, and the ledger cannot be used.
    """
    worker, said = Worker(engine), ""
    while True:
        try:
            busy = await worker.look()
            said = ""
        except LedgerError as error:
            if once:
                raise
            busy = 1
            if error.message != said:
                said = error.message
                logger.warning("%s", error)
        if once and not busy:
            return
        await engine.clock.sleep(every_seconds)
