"""What was spent today and this month, by project and profile. Hidden jobs count like any other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from .attempt import AttemptState, amount_of, milliseconds
from .tables import attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from .database import Database


@dataclass(slots=True)
class Sum:
    """What attempts add up to."""

    attempts: int = 0
    units_charged: Decimal = Decimal(0)
    units_open: Decimal = Decimal(0)
    """Reserved or estimated where the vendor has stated no charge (yet)."""
    cash_charged: dict[str, Decimal] = field(default_factory=dict)
    """By currency."""

    def add(self, row: Any) -> None:
        """Count one attempt."""
        charged, cash = amount_of(row.units_charged), amount_of(row.cash_charged)
        self.attempts += 1
        if cash is not None:
            currency = row.currency or "USD"
            self.cash_charged[currency] = self.cash_charged.get(currency, Decimal(0)) + cash
        if charged is not None:
            self.units_charged += charged
        elif cash is None:
            self.units_open += amount_of(row.units_reserved) or Decimal(0)


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """One project and profile of one service."""

    service: str
    project: str
    profile: str
    today: Sum
    month: Sum


def totals(database: Database, now: datetime) -> list[TotalsRow]:
    """Return the sums of the local day and month, the live service first; blocking."""
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    month = midnight.replace(day=1)
    query = (
        sa.select(
            jobs.c.service,
            jobs.c.project,
            attempts.c.profile,
            attempts.c.created_at,
            attempts.c.units_charged,
            attempts.c.units_reserved,
            attempts.c.cash_charged,
            attempts.c.currency,
        )
        .join_from(attempts, jobs)
        .where(
            attempts.c.created_at >= milliseconds(month),
            attempts.c.state != AttemptState.REJECTED.value,
        )
    )
    sums: dict[tuple[str, str, str], tuple[Sum, Sum]] = defaultdict(lambda: (Sum(), Sum()))
    with database.read() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        today, whole = sums[row.service, row.project, row.profile]
        whole.add(row)
        if row.created_at >= milliseconds(midnight):
            today.add(row)
    return [TotalsRow(*names, *pair) for names, pair in sorted(sums.items())]
