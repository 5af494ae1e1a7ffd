"""Remove reference videos from their host once nobody needs them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ..errors import HostingError, KlingOnceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ..clock import Clock
    from ..hosting.media_host import MediaHost
    from ..ledger.ledger import Ledger

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 10.0
"""The longest sweep: a paid result waits for it."""
LOOK_SECONDS: Final = 600.0
"""The longest wait for a link to expire: one that was signed meanwhile may expire before it."""


async def sweep(ledger: Ledger, host: MediaHost) -> int:
    """Remove from a host what no attempt needs and no valid link leads to; return how much that was.

    A clip that the host refuses to remove is tried again at the next sweep. Ends after `SWEEP_SECONDS`.
    """
    removed = 0
    problems: dict[str, int] = {}
    try:
        async with asyncio.timeout(SWEEP_SECONDS):
            for location in await ledger.removable(host.kind):
                # Asked again: since then another process may have handed the same clip over.
                if not await ledger.is_removable(location):
                    continue
                try:
                    await host.withdraw(location)
                except HostingError as error:
                    problems[error.message] = problems.get(error.message, 0) + 1
                    continue
                await ledger.forget_upload(location)
                removed += 1
    except TimeoutError:
        logger.warning("Reference videos could not be removed from their host: it does not answer in time.")
    for message, count in problems.items():
        logger.warning("Reference videos that could not be removed from their host: %d. %s", count, message)
    return removed


async def clean(ledger: Ledger, host: MediaHost, before: datetime) -> tuple[int, int]:
    """Remove every clip of ours that was put at a host before a moment and that no attempt needs.

    Also what no ledger knows: a crash may leave a clip behind.

    Returns:
        How many were removed, and how many of ours are left.

    Raises:
        HostingError: the host cannot be listed.
    """
    found = await host.leftovers()
    removed = 0
    for item in found:
        # Asked for each: meanwhile another process may have handed the same clip over.
        if item.last_modified < before and item.location not in await ledger.needed(before):
            await host.withdraw(item.location)
            await ledger.forget_upload(item.location)
            removed += 1
    return removed, len(found) - removed


class Sweeper:
    """Sweeps the host that this process uses: after a job, and whenever a link expires."""

    def __init__(
        self, ledger: Ledger, public_host: Callable[[], Awaitable[MediaHost | None]], clock: Clock
    ) -> None:
        self._ledger = ledger
        self._public_host = public_host
        self._clock = clock
        self._later: asyncio.Task[None] | None = None

    async def sweep_now(self) -> None:
        """Sweep, and go on sweeping in the background as links expire; never raises.

        A paid result is being handed over: a failure here must not hide it.
        """
        moment = await self._sweep()
        if self._later is None or self._later.done():
            self._later = asyncio.create_task(self._sweep_when_links_expire(moment))

    async def _sweep(self) -> datetime | None:
        """Sweep; return when the next link expires.

        That is asked first: a link that expires between the two is swept, and none is forgotten.
        """
        moment = None
        try:
            moment = await self._ledger.next_expiry()
            if not await self._ledger.removable():
                return moment
            host = await self._public_host()
            if host is not None:
                await sweep(self._ledger, host)
        except KlingOnceError as error:
            logger.warning("Old reference videos could not be removed: %s", error.message)
        except Exception:
            logger.exception("Old reference videos could not be removed.")
        return moment

    async def _sweep_when_links_expire(self, moment: datetime | None) -> None:
        while moment is not None:
            seconds = (moment - self._clock.now()).total_seconds() + 1
            await self._clock.sleep(min(max(seconds, 0), LOOK_SECONDS))
            moment = await self._sweep()
