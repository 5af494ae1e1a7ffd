"""A submit's turn at an account that is full: a slot of the ledger, and pauses after refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..api.transport import backoff_seconds
from ..concurrency import first_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..clock import Clock

LONGEST_PAUSE_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 1.0
"""How often one who waits asks for a slot, at least."""


class Ticket:
    """One submit that wants to be sent."""

    def __init__(
        self,
        take: Callable[[], Awaitable[bool]],
        moved: Callable[[], Awaitable[object]],
        clock: Clock,
        poll_seconds: float,
    ) -> None:
        """Hold a place in the line.

        Args:
            take: takes a slot, and tells whether there was one.
            moved: returns when a job of this process has moved on, so that a slot may be free.
            clock: waits between looks.
            poll_seconds: the first pause after a refusal, and between looks where that is shorter.
        """
        self._take = take
        self._moved = moved
        self._clock = clock
        self._seconds = min(LOOK_SECONDS, poll_seconds)
        self._refusals = 0

    async def turn(self) -> None:
        """Return when this submit may be sent: first come, first served, over all processes.

        All tickets of a process wake at the same ticks of the clock, so that one look serves them all.
        """
        while not await self._take():
            to_next_tick = self._seconds - self._clock.monotonic() % self._seconds
            await first_of(self._clock.sleep(to_next_tick), self._moved())

    async def refused(self) -> None:
        """Back off before the next try: twice as long each time, up to `LONGEST_PAUSE_SECONDS`."""
        self._refusals += 1
        pause = backoff_seconds(self._seconds, self._refusals, longest_seconds=LONGEST_PAUSE_SECONDS)
        await self._clock.sleep(pause)
