"""What the other workers of a shared ledger do, told to this server's pages as its own jobs are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..errors import LedgerError
from .money import HOLD_CHANGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..jobs.engine import Engine
    from ..ledger.news import Glance

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0


class Neighbors:
    """Looks at a shared ledger every second while a page is open.

    A transaction pooler lets no LISTEN through, so it is asked.
    """

    def __init__(self, is_watched: Callable[[], bool]) -> None:
        """Wait for `attend`.

        Args:
            is_watched: tells whether a page is open.
        """
        self._is_watched = is_watched
        self._attended: Engine | None = None

    def attend(self, engine: Engine) -> None:
        """Begin to look, if several workers share the engine's ledger."""
        if self._attended is engine or engine.settings.ledger_url is None:
            return
        self._attended = engine
        engine.ask(self._look_on(engine))

    async def _look_on(self, engine: Engine) -> None:
        seen: Glance | None = None
        while True:
            if self._is_watched():
                try:
                    found = await (await engine.ledger()).glance(seen)
                except LedgerError as error:
                    logger.info("What other workers do cannot be seen: %s", error.message)
                else:
                    if seen is not None:
                        _tell(engine, seen, found)
                    seen = found
            else:
                seen = None  # a page that opens asks for everything
            await engine.clock.sleep(LOOK_SECONDS)


def _tell(engine: Engine, seen: Glance, found: Glance) -> None:
    own = engine.under_way()
    for key, goes_on in found.moved_since(seen).items():
        if key not in own:
            engine.watchers.tell(key, "moved" if goes_on else "ended")
    if found.held != seen.held:
        engine.watchers.tell("", HOLD_CHANGED)
