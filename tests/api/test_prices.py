"""What a task costs: the vendor's list, in Decimals."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from kling_once.api.limits import MODELS, Mode, price

LIST = [
    # model, mode, units a second, USD a second (price page of 2026-09-20)
    ("kling-v2-6", "std", "0.5", "0.07"),
    ("kling-v2-6", "pro", "0.8", "0.112"),
    ("kling-v3", "std", "0.9", "0.126"),
    ("kling-v3", "pro", "1.2", "0.168"),
]


@pytest.mark.parametrize(("model", "mode", "units", "usd"), LIST)
def test_ten_seconds_cost_what_the_list_says(model: str, mode: str, units: str, usd: str) -> None:
    cost = price(MODELS[model], Mode(mode), 10)
    assert cost.units == 10 * Decimal(units)
    assert cost.cash == 10 * Decimal(usd)
    assert cost.currency == "USD"


def test_every_model_and_mode_has_a_price_and_the_list_a_date() -> None:
    assert all(price(model, mode, 3).units > 0 for model in MODELS.values() for mode in Mode)
    assert {str(model.prices_as_of) for model in MODELS.values()} == {"2026-09-20"}


@pytest.mark.parametrize(
    ("seconds", "billed"),
    [(5.0, 5), (5.04, 5), (5.49, 5), (5.5, 6), (5.51, 6), (Fraction(528, 100), 5)],
)
def test_seconds_are_rounded_half_up(seconds: float | Fraction, billed: int) -> None:
    assert price(MODELS["kling-v3"], Mode.PRO, seconds).units == billed * Decimal("1.2")


def test_china_pays_in_yuan() -> None:
    cost = price(MODELS["kling-v3"], Mode.PRO, 10, china=True)
    assert (cost.cash, cost.currency) == (Decimal(12), "CNY")
