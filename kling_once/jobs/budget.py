"""Spending limits: what may be reserved, given what has been spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BudgetReached
from .job import Service

if TYPE_CHECKING:
    from decimal import Decimal

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

    def check(self, spent: Spent, wanted: Decimal) -> None:
        """Pass, or refuse with the sum, the limit and the setting.

        Raises:
            BudgetReached: `wanted` units more would pass a limit.
        """
        pairs = (
            (self.per_node, spent.by_node),
            (self.per_prompt, spent.by_prompt),
            (self.per_day, spent.by_day),
        )
        for cap, used in pairs:
            if cap is not None and used + wanted > cap.units:
                raise BudgetReached(
                    f"This would reserve {_plain(wanted)} units; with {_plain(used)} units already spent or"
                    f" reserved {cap.span} it passes the limit of {_plain(cap.units)} units ({cap.setting}).",
                    hint=f"Nothing was submitted. Raise {cap.setting}, or make the clip shorter.",
                )


def budget_of(settings: Settings, service: Service, max_units: Decimal) -> Budget:
    """Return the limits for an order.

    The sandbox costs nothing: there, only limits hold that somebody has set, so that they can be tried.
    """
    chosen = settings.model_fields_set
    live = service is Service.KLING

    def server_cap(field: str, span: str) -> Cap | None:
        if not live and field not in chosen:
            return None
        return Cap(getattr(settings, field), f"KLING_ONCE_{field.upper()}", span)

    node = Cap(max_units, "max_units", "by this node in this prompt") if max_units > 0 else None
    return Budget(
        per_node=node,
        per_prompt=server_cap("max_units_per_prompt", "in this prompt"),
        per_day=server_cap("max_units_per_day", "today"),
    )


def _plain(units: Decimal) -> str:
    return f"{units.normalize():f}"
