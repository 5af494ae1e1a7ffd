"""Reference videos leave their host when their time has come."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ..errors import KlingOnceError
from ..ledger.uploads import next_expiry, removable, sweep

if TYPE_CHECKING:
    from ..clock import Clock
    from ..ledger.database import Database
    from .connections import Connections

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 600.0
"""A link that was made meanwhile may end before the one that is waited for."""


class Tidying:
    """Removes clips that nobody needs from this process's host: after a job, and when a link ends."""

    def __init__(self, database: Database, connections: Connections, clock: Clock) -> None:
        self._database = database
        self._connections = connections
        self._clock = clock
        self._later: asyncio.Task[None] | None = None

    async def tidy(self) -> None:
        """Remove what may go now, and from here on what may go later; never raises.

        A paid result is being handed over: whatever goes wrong here must not hide it.
        """
        await self._remove()
        if self._later is None or self._later.done():
            self._later = asyncio.create_task(self._remove_when_links_end())

    async def _remove(self) -> None:
        try:
            if not await asyncio.to_thread(removable, self._database, self._clock.now()):
                return
            host = await self._connections.public_host()
            if host is not None:
                await sweep(self._database, host, self._clock.now())
        except KlingOnceError as error:
            logger.warning("Old reference videos could not be removed: %s", error.message)
        except Exception:
            logger.exception("Old reference videos could not be removed.")

    async def _remove_when_links_end(self) -> None:
        try:
            while moment := await asyncio.to_thread(next_expiry, self._database, self._clock.now()):
                seconds = (moment - self._clock.now()).total_seconds() + 1
                await self._clock.sleep(min(max(seconds, 0), LOOK_SECONDS))
                await self._remove()
        except KlingOnceError as error:
            logger.warning("Old reference videos could not be looked for: %s", error.message)
