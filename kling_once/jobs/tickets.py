"""Wait one's turn at an account that is full (1302, 1303): first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..clock import Clock

LONGEST_PAUSE_SECONDS: Final = 20.0


class Place:
    """One waiting submit."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._refusals = 0

    async def turn(self, look_seconds: float) -> None:
        """Return when this place may send: at once while the account is not full, else when it is first."""
        while self._line.is_full and self._line.first is not self:
            await self._line.wait_for_move(look_seconds)

    async def refused(self, pause_seconds: float) -> None:
        """Note that the account is full, and pause before the next try, longer each time."""
        self._line.is_full = True
        self._refusals += 1
        pause = min(pause_seconds * 2 ** (self._refusals - 1), LONGEST_PAUSE_SECONDS)
        await self._line.clock.sleep(pause)


class Line:
    """Those who want to submit with one account, in the order in which they came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_full = False
        self._places: deque[Place] = deque()
        self._moved = asyncio.Event()

    @property
    def first(self) -> Place | None:
        """Return who came first."""
        return self._places[0] if self._places else None

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Stand in line for as long as the block runs."""
        place = Place(self)
        self._places.append(place)
        try:
            yield place
        finally:
            self._places.remove(place)
            if not self._places:
                self.is_full = False
            self._moved.set()
            self._moved = asyncio.Event()

    async def wait_for_move(self, look_seconds: float) -> None:
        """Wait until somebody leaves the line, at most `look_seconds`."""
        try:
            await asyncio.wait_for(self._moved.wait(), look_seconds)
        except TimeoutError:
            return
