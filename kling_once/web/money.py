"""The hold switch, totals and limits."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

import filelock
from aiohttp import web

from ..errors import SettingsError
from ..files import write_file
from ..ledger.database import package_version
from ..settings import config_folder, is_from_environment
from .payloads import ATTEMPT_COLUMNS, attempt_payload, number_of
from .refusals import json_answer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from ..ledger.budgets import Sum, TotalsRow
    from ..settings import Settings
    from .guard import Asked


HOLD_CHANGED = "hold"
"""What the page is told in place of a job's state."""


async def status(asked: Asked) -> web.Response:
    """Answer what the page shows around the list."""
    return json_answer(await _status(asked))


async def switch_hold(asked: Asked) -> web.Response:
    """Switch live submissions off, or on again."""
    ledger = await asked.engine.ledger()
    if asked.values.held:
        await ledger.hold()
    else:
        await ledger.release_hold()
    asked.engine.watchers.tell("", HOLD_CHANGED)
    return json_answer(await _status(asked))


async def totals(asked: Asked) -> web.Response:
    """Answer what was spent."""
    return json_answer(totals_payload(await (await asked.engine.ledger()).totals()))


async def totals_csv(asked: Asked) -> web.Response:
    """Answer what was spent as a file."""
    return _csv(totals_text(await (await asked.engine.ledger()).totals()), "kling-once-totals.csv")


async def history_csv(asked: Asked) -> web.Response:
    """Answer every attempt as a file."""
    rows = await (await asked.engine.ledger()).history()
    return _csv(history_text(rows), "kling-once-history.csv")


async def limits(asked: Asked) -> web.Response:
    """Change the spending limits."""
    wanted = {
        name: value
        for name in ("max_units_per_prompt", "max_units_per_day")
        if (value := getattr(asked.values, name)) is not None
    }
    engine = asked.engine
    settings = await asyncio.to_thread(write_limits, engine.settings, wanted)
    engine.use(settings)
    return json_answer(limits_payload(settings))


async def _status(asked: Asked) -> dict[str, Any]:
    engine = asked.engine
    since = await (await engine.ledger()).held_since()
    return {
        "version": package_version(),
        "held_since": since.isoformat(timespec="seconds") if since else None,
        "may_change": asked.looks_local,
        "account_browse": engine.settings.account_browse,
        "limits": limits_payload(engine.settings),
    }


def _csv(text: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, content_type="text/csv", headers=headers)


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


def totals_text(rows: list[TotalsRow]) -> str:
    """Return the sums as CSV, one line for each service, project, profile and span."""
    names = ("service", "project", "profile", "span", "attempts", "units_charged", "units_open", "cash")
    lines = (
        {"service": row.service, "project": row.project, "profile": row.profile, "span": span}
        | _sum(total)
        | {"cash": " + ".join(f"{amount:f} {currency}" for currency, amount in total.cash_charged.items())}
        for row in rows
        for span, total in (("today", row.today), ("month", row.month))
    )
    return _text(names, lines)


def history_text(rows: list[dict[str, Any]]) -> str:
    """Return every attempt as CSV."""
    return _text(ATTEMPT_COLUMNS, map(attempt_payload, rows))


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


def _text(names: Iterable[str], rows: Iterable[dict[str, Any]]) -> str:
    names = tuple(names)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


FIELDS: Final = ("max_units_per_prompt", "max_units_per_day")
LARGEST: Final = 1_000_000
LOCK_SECONDS: Final = 10


def write_limits(settings: Settings, wanted: dict[str, Decimal]) -> Settings:
    """Write limits to the file and return the settings that hold from here on; blocking.

    A limit that the environment sets may be sent along as it is; it is not written.

    Raises:
        SettingsError: a value is no limit, the environment sets another, or the file cannot be written.
    """
    changes = {}
    for name, units in wanted.items():
        if name not in FIELDS or not units.is_finite() or not 0 <= units <= LARGEST:
            raise SettingsError(f"A limit is a number of units from 0 to {LARGEST}.")
        if not is_from_environment(name):
            changes[name] = units
        elif units != getattr(settings, name):
            variable = f"KLING_ONCE_{name.upper()}"
            raise SettingsError(
                f"{variable} is set in the server's environment, which wins over the file.",
                hint="Change it there.",
            )
    if not changes:
        return settings
    path = config_folder() / "settings.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
            values: dict[str, Any] = {}
            if path.exists():
                values = json.loads(path.read_text(encoding="utf-8-sig"))
            values |= {name: float(units) for name, units in changes.items()}
            write_file(path, json.dumps(values, indent=1) + "\n")
    except (OSError, ValueError, TypeError, filelock.Timeout):
        raise SettingsError(f"{path} cannot be written.") from None
    return settings.model_copy(update=changes)
