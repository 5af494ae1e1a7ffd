"""A charge in units, dollars, yuan, of a test balance, or none: with its own unit wherever it is shown."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations

UNITS, DOLLARS, YUAN = 1.5, 0.21, 1.5
"""3 s of kling-v2-6 std: as units, and as money of either region."""

CASES = [
    # what the sandbox bills, units, cash, currency on legacy, currency on standard
    ("units", UNITS, None, None, None),
    ("cash", None, DOLLARS, "USD", "USD"),
    ("cash-cny", None, YUAN, "USD", "CNY"),
    ("test-balance", None, DOLLARS, "USD", "USD of a test balance"),
    ("none", None, None, None, None),
]
"""The legacy page names no currency: a global account is billed in dollars there."""


@pytest.mark.parametrize(("charge", "units", "cash", "legacy", "standard"), CASES)
def test_each_kind_of_charge_has_its_unit_in_ledger_totals_csv_and_page(
    served: Any,
    sandbox: SandboxControl,
    generation: str,
    charge: str,
    units: float | None,
    cash: float | None,
    legacy: str | None,
    standard: str | None,
) -> None:
    sandbox.set(charge=charge)
    currency = standard if generation == "standard" else legacy
    key = served.run()

    job = served.get(f"/jobs/{key}").json()
    assert (job["units_charged"], job["cash_charged"], job["currency"]) == (units, cash, currency)
    if cash is not None:
        assert (job["money"], job["money_currency"]) == (cash, currency)
    else:
        assert (job["money"], job["money_currency"]) == (DOLLARS, "USD"), "the list price of the units"

    (row,) = served.get("/totals").json()["rows"]
    assert row["month"]["units_charged"] == (units or 0)
    assert row["month"]["cash_charged"] == ({} if cash is None else {currency: cash})
    assert row["month"]["units_open"] == (UNITS if units is None and cash is None else 0)

    (line,) = csv.DictReader(io.StringIO(served.get("/history.csv").text))
    told = (line["units_charged"], line["cash_charged"], line["currency"])
    assert told == tuple("" if value is None else f"{value}" for value in (units, cash, currency))
