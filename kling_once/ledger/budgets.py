"""Spending limits: what may be reserved, given what has been spent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import BudgetReached
from ..order import SANDBOX_REALM, Service
from ..settings import variable_of
from .attempts import Attempt, attempt_of
from .tables import AttemptState, attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from ..order import Spender
    from ..settings import Settings


@dataclass(frozen=True, slots=True)
class Spent:
    """Units that count so far: the charge where it is known, else what is reserved."""

    by_node: Decimal
    by_prompt: Decimal
    by_day: Decimal


@dataclass(frozen=True, slots=True)
class Cap:
    """One limit, and the name under which people find it."""

    units: Decimal
    setting: str
    span: str


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that hold for one order; None where none does."""

    per_node: Cap | None
    per_prompt: Cap | None
    per_day: Cap | None

    def check(self, spent: Spent, wanted: Decimal, *, items: int = 1) -> None:
        """Pass, or refuse with the sum, the limit and the setting.

        Args:
            spent: what counts so far.
            wanted: units of what is to be bought.
            items: how many orders that is.

        Raises:
            BudgetReached: `wanted` units more would pass a limit.
        """
        what = "This" if items == 1 else f"The {items} items of this node together"
        scope = " for it" if items == 1 else ""
        pairs = (
            (self.per_node, spent.by_node),
            (self.per_prompt, spent.by_prompt),
            (self.per_day, spent.by_day),
        )
        for cap, used in pairs:
            if cap is not None and used + wanted > cap.units:
                raise BudgetReached(
                    f"{what} would reserve {_plain(wanted)} units; with {_plain(used)} units already spent or"
                    f" reserved {cap.span} it passes the limit of {_plain(cap.units)} units ({cap.setting}).",
                    hint=f"Nothing was submitted{scope}. Raise {cap.setting}, or make the clip shorter.",
                )


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an attempt is expected to cost, and the limits it must stay under."""

    seconds: Decimal | None
    """Of the reference video; None where only the vendor can measure it."""
    units: Decimal
    """The estimate, which is what is reserved."""
    budget: Budget


def budget_of(settings: Settings, service: Service, max_units: Decimal) -> Budget:
    """Return the limits for an order.

    The sandbox costs nothing: there, only limits hold that somebody has set, so that they can be tried.
    """
    chosen = settings.model_fields_set
    live = service is Service.KLING

    def server_cap(field: str, span: str) -> Cap | None:
        if not live and field not in chosen:
            return None
        return Cap(getattr(settings, field), variable_of(field), span)

    node = Cap(max_units, "max_units", "here") if max_units > 0 else None
    return Budget(
        per_node=node,
        per_prompt=server_cap("max_units_per_prompt", "in this run"),
        per_day=server_cap("max_units_per_day", "today"),
    )


def _plain(units: Decimal) -> str:
    return f"{units.normalize():f}"


def give_back_abandoned(connection: sa.Connection, now: datetime, service: Service) -> None:
    """Free what is reserved at a service for intents that were never sent and that nobody holds any more.

    Their holder was killed; one that was only stopped reserves again before it sends.
    """
    is_sandbox = attempts.c.realm == SANDBOX_REALM
    connection.execute(
        sa.update(attempts)
        .where(
            attempts.c.state == AttemptState.INTENT,
            attempts.c.posted_at.is_(None),
            attempts.c.lease_until < now,
            is_sandbox if service is Service.SANDBOX else ~is_sandbox,
        )
        .values(units_reserved=None)
    )


def spent_so_far(connection: sa.Connection, now: datetime, service: Service, spender: Spender) -> Spent:
    """Return the units of this service that count against the limits of `spender`, and of the day.

    The units charged count where the vendor states nothing beside them, else the reservation if it is more:
    also for a failed task, since no page says that failures are free. A refused create made nothing and
    counts nothing; nor does a task that was neither sent nor reserved from here, but found. Rows from the
    future are a wrong clock's.
    """
    midnight = _midnight(now)
    rows = connection.execute(
        sa.select(attempts)
        .join_from(attempts, jobs)
        .where(
            jobs.c.service == service.value,
            attempts.c.state != AttemptState.REJECTED,
            sa.or_(attempts.c.posts > 0, attempts.c.units_reserved.is_not(None)),
            attempts.c.created_at <= now + timedelta(days=1),
            sa.or_(attempts.c.created_at >= midnight, attempts.c.prompt_id == spender.prompt_id),
        )
    )
    node = prompt = day = Decimal(0)
    for attempt in map(attempt_of, rows):
        units = _counted(attempt)
        if attempt.created_at >= midnight:
            day += units
        if attempt.prompt_id == spender.prompt_id:
            prompt += units
            if attempt.node_id == spender.node_id:
                node += units
    return Spent(by_node=node, by_prompt=prompt, by_day=day)


def _counted(attempt: Attempt) -> Decimal:
    charged, reserved = attempt.units_charged, attempt.units_reserved or Decimal(0)
    if attempt.cash_charged or attempt.unread_charge:
        return max(charged or Decimal(0), reserved)
    if charged is None and attempt.cash_charged is None:
        return reserved
    return charged or Decimal(0)


def _midnight(now: datetime) -> datetime:
    """Return when the day began, in the time zone of `now`."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


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
        """Count `row.times` attempts of the same amounts."""
        charged, cash, times = row.units_charged, row.cash_charged, row.times
        self.attempts += times
        if cash is not None:
            currency = row.currency or "USD"
            self.cash_charged[currency] = self.cash_charged.get(currency, Decimal(0)) + times * cash
        if charged is not None:
            self.units_charged += times * charged
        elif cash is None:
            self.units_open += times * (row.units_reserved or Decimal(0))


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """One project and profile of one service."""

    service: str
    project: str
    profile: str
    today: Sum
    month: Sum


def totals(connection: sa.Connection, now: datetime) -> list[TotalsRow]:
    """Return the sums of the day and the month, the live service first."""
    midnight = _midnight(now)
    month = midnight.replace(day=1)
    columns = (
        jobs.c.service,
        jobs.c.project,
        attempts.c.profile,
        attempts.c.units_charged,
        attempts.c.units_reserved,
        attempts.c.cash_charged,
        attempts.c.currency,
    )
    # equal amounts are counted by the database, and added up here: no database adds decimals as text
    query = (
        sa.select(
            *columns,
            sa.case((attempts.c.created_at >= midnight, 1), else_=0).label("is_today"),
            sa.func.count().label("times"),
        )
        .join_from(attempts, jobs)
        .where(attempts.c.created_at >= month, attempts.c.state != AttemptState.REJECTED)
        .group_by(*columns, "is_today")
    )
    sums: dict[tuple[str, str, str], tuple[Sum, Sum]] = defaultdict(lambda: (Sum(), Sum()))
    for row in connection.execute(query):
        today, whole = sums[row.service, row.project, row.profile]
        whole.add(row)
        if row.is_today:
            today.add(row)
    return [TotalsRow(*names, *pair) for names, pair in sorted(sums.items())]
