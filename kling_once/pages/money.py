"""Totals and limits as JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from ..jobs.spending_limits import FIELDS
from ..settings import is_from_environment
from .payloads import ATTEMPT_COLUMNS, attempt_payload, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..jobs.totals import Sum, TotalsRow
    from ..settings import Settings

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection)."""


def totals_payload(rows: list[TotalsRow]) -> dict[str, Any]:
    """Return the sums by service, project and profile."""
    return {
        "rows": [
            {
                "service": row.service,
                "project": row.project,
                "profile": row.profile,
                "today": _sum(row.today),
                "month": _sum(row.month),
            }
            for row in rows
        ]
    }


def totals_csv(rows: list[TotalsRow]) -> str:
    """Return the sums as CSV, one line for each service, project, profile and span."""
    names = ("service", "project", "profile", "span", "attempts", "units_charged", "units_open", "cash")
    lines = (
        {"service": row.service, "project": row.project, "profile": row.profile, "span": span}
        | _sum(total)
        | {"cash": " + ".join(f"{amount:f} {currency}" for currency, amount in total.cash_charged.items())}
        for row in rows
        for span, total in (("today", row.today), ("month", row.month))
    )
    return _csv(names, lines)


def history_csv(rows: list[dict[str, Any]]) -> str:
    """Return every attempt as CSV."""
    return _csv(ATTEMPT_COLUMNS, map(attempt_payload, rows))


def limits_payload(settings: Settings) -> dict[str, Any]:
    """Return the spending limits that hold, and which of them only the server's environment can change."""
    return {
        "max_units_per_prompt": number_of(settings.max_units_per_prompt),
        "max_units_per_day": number_of(settings.max_units_per_day),
        "from_environment": [name for name in FIELDS if is_from_environment(name)],
    }


def _sum(total: Sum) -> dict[str, Any]:
    return {
        "attempts": total.attempts,
        "units_charged": number_of(total.units_charged),
        "units_open": number_of(total.units_open),
        "cash_charged": {name: number_of(amount) for name, amount in total.cash_charged.items()},
    }


def _csv(names: Iterable[str], rows: Iterable[dict[str, Any]]) -> str:
    names = tuple(names)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
