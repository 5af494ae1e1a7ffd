"""Callbacks as hints: a pause between two looks at a task ends early when the vendor reported a change."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import HostingError

if TYPE_CHECKING:
    from datetime import datetime

    from ..clock import Clock

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
OVERLAP: Final = timedelta(seconds=1)
"""A hint is seen a few milliseconds after the time it carries."""


class Hints(Protocol):
    """Where callbacks are heard, in this process or another one of the same home."""

    def hints_since(self, moment: datetime) -> set[str]:
        """Return the tasks that a callback named at `moment` or later."""
        ...


async def pause_for_hint(hints: Hints, clock: Clock, task_id: str, seconds: float) -> None:
    """Wait `seconds`, or less when a callback names the task; at most one look a second."""
    end = clock.monotonic() + seconds
    while (left := end - clock.monotonic()) > 0:
        asked = clock.now() - OVERLAP
        await clock.sleep(min(LOOK_SECONDS, left))
        try:
            if task_id in await asyncio.to_thread(hints.hints_since, asked):
                return
        except HostingError as error:
            logger.debug("Callbacks cannot be read: %s", error.message)
