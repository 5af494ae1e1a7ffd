"""What moves in a ledger: small enough to be read every second, for pages that show what other workers do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from .attempts import ENDED
from .notes import HOLD_NOTE, read_note
from .tables import EPOCH, attempts, jobs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at a ledger."""

    moving: Mapping[str, tuple[str | None, ...]]
    """State and task of every attempt that has not ended, by job key."""
    newest: int
    """The highest id of an attempt."""
    hidden_at: datetime
    """When a job was hidden last."""
    held: str | None
    """Since when live submissions are on hold, as it is noted."""
    added: frozenset[str]
    """Jobs with attempts that the look before did not know."""
    hidden: frozenset[str]
    """Jobs that were hidden since the look before."""

    def moved_since(self, before: Glance) -> dict[str, bool]:
        """Return the jobs that have changed, and whether each goes on."""
        keys = self.added | self.hidden | self.moving.keys() | before.moving.keys()
        return {
            key: key in self.moving
            for key in keys
            if key in self.added or key in self.hidden or self.moving.get(key) != before.moving.get(key)
        }


def glance(connection: sa.Connection, before: Glance | None) -> Glance:
    """Look at what moves; `before` says what is known already."""
    columns = attempts.c.job_key, attempts.c.state, attempts.c.task_id
    query = sa.select(*columns).where(attempts.c.state.not_in(ENDED)).order_by(attempts.c.attempt_id)
    moving = {row.job_key: (row.state.value, row.task_id) for row in connection.execute(query)}
    newest = connection.execute(sa.select(sa.func.max(attempts.c.attempt_id))).scalar_one() or 0
    hidden_at = connection.execute(sa.select(sa.func.max(jobs.c.hidden_at))).scalar_one() or EPOCH
    added: set[str] = set()
    hidden: set[str] = set()
    if before is not None and newest > before.newest:
        query = sa.select(attempts.c.job_key).where(attempts.c.attempt_id > before.newest)
        added = set(connection.execute(query).scalars())
    if before is not None and hidden_at > before.hidden_at:
        query = sa.select(jobs.c.job_key).where(jobs.c.hidden_at > before.hidden_at)
        hidden = set(connection.execute(query).scalars())
    return Glance(
        moving, newest, hidden_at, read_note(connection, HOLD_NOTE), frozenset(added), frozenset(hidden)
    )
