"""Queue tickets: a submit's turn at an account that is full (1302, 1303), first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..api.transport import backoff_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..clock import Clock

LONGEST_PAUSE_SECONDS: Final = 20.0


class Ticket:
    """One submit that wants to be sent."""

    def __init__(self, queue: TicketQueue) -> None:
        self._queue = queue
        self._refusals = 0
        self._called = asyncio.Event()

    async def turn(self) -> None:
        """Return when this submit may be sent: at once while the account has room, else when it is first."""
        while not self._queue.lets_pass(self):
            self._called.clear()
            await self._called.wait()

    async def refused(self, pause_seconds: float) -> None:
        """Note that the account is full, and back off before the next try: twice as long each time.

        Args:
            pause_seconds: the first pause; none is longer than `LONGEST_PAUSE_SECONDS`.
        """
        self._queue.is_full = True
        self._refusals += 1
        pause = backoff_seconds(pause_seconds, self._refusals, longest_seconds=LONGEST_PAUSE_SECONDS)
        await self._queue.clock.sleep(pause)

    def call(self) -> None:
        """Let `turn` look again."""
        self._called.set()


class TicketQueue:
    """The submits of one account, in the order in which they came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_full = False
        self._tickets: deque[Ticket] = deque()

    def lets_pass(self, ticket: Ticket) -> bool:
        """Tell whether a ticket's submit may be sent now."""
        return not self.is_full or self._tickets[0] is ticket

    @contextmanager
    def ticket(self) -> Iterator[Ticket]:
        """Hold a ticket for as long as the block runs."""
        ticket = Ticket(self)
        self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            if not self._tickets:
                self.is_full = False
            for waiting in self._tickets:
                waiting.call()
