"""A reference video goes from its host when its link has expired, whenever that is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from kling_once.jobs.uploads import Sweeper

if TYPE_CHECKING:
    from kling_once.ledger.ledger import Ledger

LINK_ENDS = datetime(2026, 11, 28, 12, tzinfo=UTC)


class LastMoment:
    """A host, its ledger with one upload, and a clock that passes the link's end at one certain question."""

    kind = "object store"

    def __init__(self, passes_before_question: int) -> None:
        self.withdrawn: list[str] = []
        self._questions_left = passes_before_question
        self._now = LINK_ENDS - timedelta(seconds=1)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    async def removable(self, _kind: str | None = None) -> list[str]:
        self._ask()
        return ["clip"] if self._now > LINK_ENDS and not self.withdrawn else []

    async def is_removable(self, _location: str) -> bool:
        return True

    async def next_expiry(self) -> datetime | None:
        self._ask()
        return LINK_ENDS if self._now <= LINK_ENDS else None

    async def forget_upload(self, _location: str) -> None:
        return

    async def withdraw(self, location: str) -> None:
        self.withdrawn.append(location)

    def _ask(self) -> None:
        self._questions_left -= 1
        if not self._questions_left:
            self._now = LINK_ENDS + timedelta(seconds=1)


async def test_a_link_that_expires_between_two_questions_is_not_forgotten() -> None:
    for question in range(1, 6):
        place = cast("Any", LastMoment(question))

        async def public_host(place: Any = place) -> Any:
            return place

        await Sweeper(cast("Ledger", place), public_host, place).sweep_now()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        assert place.withdrawn == ["clip"], question
