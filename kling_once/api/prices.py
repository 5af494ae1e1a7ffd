"""The vendor's list prices, as Decimals.

Source: official price page, snapshot of 2026-09-20 (global: 1 unit = 0.14 USD); the changelog of
2025-12-22 says that seconds are rounded to the nearest whole second. China: 1 unit = 1 CNY.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

from .limits import Mode, Model

if TYPE_CHECKING:
    from fractions import Fraction

PRICES_AS_OF: Final = "2026-09-20"
UNITS_PER_SECOND: Final = {
    (Model.V2_6, Mode.STD): Decimal("0.5"),
    (Model.V2_6, Mode.PRO): Decimal("0.8"),
    (Model.V3, Mode.STD): Decimal("0.9"),
    (Model.V3, Mode.PRO): Decimal("1.2"),
}
USD_PER_UNIT: Final = Decimal("0.14")
CNY_PER_UNIT: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Price:
    """The estimated price of one task."""

    seconds: Decimal
    """Length of the reference video, which bounds the billed seconds."""
    units: Decimal
    """Estimate, shown as "up to": seconds rounded half up, times the rate."""
    units_at_most: Decimal
    """What spending limits reserve: seconds rounded up, times the rate."""
    cash: Decimal
    """`units` in the currency, to three decimal places."""
    currency: str
    """`USD`, or `CNY` in the China region."""


def cash_of(units: Decimal, *, china: bool) -> tuple[Decimal, str]:
    """Return what units cost at the list price, and in which currency: CNY in the China region, else USD."""
    return (units * CNY_PER_UNIT, "CNY") if china else (units * USD_PER_UNIT, "USD")


def amount_text(amount: Decimal, of: str) -> str:
    """Return an amount of units or money for people, without trailing zeros: `1.5 units`, `0.21 USD`."""
    return f"{amount.normalize():f} {of}"


def price(model: Model, mode: Mode, seconds: float | Fraction | Decimal, *, china: bool = False) -> Price:
    """Return the price of a task with a reference video of this length.

    Args:
        model: model of the task.
        mode: mode of the task.
        seconds: length of the reference video.
        china: price in CNY instead of USD.
    """
    exact = Decimal(str(float(seconds)))
    rate = UNITS_PER_SECOND[model, mode]
    units = exact.quantize(Decimal(1), ROUND_HALF_UP) * rate
    cash, currency = cash_of(units, china=china)
    return Price(
        seconds=exact,
        units=units,
        units_at_most=exact.quantize(Decimal(1), ROUND_CEILING) * rate,
        cash=cash.quantize(Decimal("0.001")),
        currency=currency,
    )
