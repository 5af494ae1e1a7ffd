"""The hold switch, totals and limits."""

from __future__ import annotations

import asyncio
import csv
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from ..api.limits import cash_of
from ..errors import KlingOnceError
from ..order import Service
from ..origins import CHINA_ORIGIN
from ..settings import (
    LARGEST_LIMIT,
    LIMITS,
    is_from_environment,
    write_limits,
)
from ..version import package_version
from .answers import (
    ATTEMPT_COLUMNS,
    Answer,
    AttemptAnswer,
    Moment,
    spreadsheet_cell,
)
from .endpoint import (
    Call,
    Csv,
    Given,
    Nothing,
    Who,
    WithCode,
    endpoint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..jobs.engine import Engine
    from ..settings import Settings

HOLD_CHANGED: Final = "hold"
"""What the page is told in place of a job's state."""
TOTALS_COLUMNS: Final = (
    "service",
    "project",
    "profile",
    "span",
    "attempts",
    "units_charged",
    "units_open",
    "cash",
)

Units = Annotated[Decimal, Field(ge=0, le=LARGEST_LIMIT)]


class LimitsAnswer(Answer):
    """The spending limits that hold."""

    max_units_per_prompt: float
    max_units_per_day: float
    from_environment: list[str]
    """Those that only the server's environment can change."""


class Status(Answer):
    """What the page shows around the list."""

    version: str
    held_since: Moment | None
    """Live submissions are on hold since then."""
    may_change: bool
    """This page may change keys and limits without a code."""
    account_browse: Literal["own", "all"]
    """Whose tasks of the account are listed: those of this ledger, or all."""
    limits: LimitsAnswer


class HoldBody(Given):
    """Switch live submissions off, or on again."""

    held: bool = Field(strict=True)


class LimitsBody(WithCode):
    """New spending limits; what is left out stays."""

    max_units_per_prompt: Units | None = None
    max_units_per_day: Units | None = None


class SumAnswer(Answer):
    """What attempts add up to."""

    attempts: int
    units_charged: float
    units_open: float
    """Reserved or estimated where Kling has stated no charge."""
    cash_charged: dict[str, float]
    """By currency."""


class TotalsRowAnswer(Answer):
    """One project and profile of one service."""

    service: str
    project: str
    profile: str
    price: float | None
    """Of a unit, by the list; null where the profile's address is not known."""
    currency: Literal["USD", "CNY"] | None
    today: SumAnswer
    month: SumAnswer


class Totals(Answer):
    """What was spent, by service, project and profile."""

    rows: list[TotalsRowAnswer]


@endpoint("GET", "/status", answer=Status)
async def status(call: Call[Nothing, Any]) -> Status:
    """Tell the hold switch, the limits, the version, and whether this page may change keys."""
    settings = call.engine.settings
    return Status(
        version=package_version(),
        held_since=await (await call.engine.ledger()).held_since(),
        may_change=call.looks_local,
        account_browse=settings.account_browse,
        limits=_limits(settings),
    )


@endpoint("POST", "/hold", body=HoldBody, answer=Status)
async def switch_hold(call: Call[Nothing, HoldBody]) -> Status:
    """Switch live submissions off, or on again."""
    ledger = await call.engine.ledger()
    if call.given.held:
        await ledger.hold()
    else:
        await ledger.release_hold()
    call.engine.watchers.tell("", HOLD_CHANGED)
    return await status.handler(call)


@endpoint("POST", "/limits", body=LimitsBody, answer=LimitsAnswer, who=Who.LOCAL)
async def limits(call: Call[Nothing, LimitsBody]) -> LimitsAnswer:
    """Change the spending limits."""
    wanted = {name: units for name in LIMITS if (units := getattr(call.given, name)) is not None}
    settings = await asyncio.to_thread(write_limits, call.engine.settings, wanted)
    call.engine.use(settings)
    return _limits(settings)


@endpoint("GET", "/totals", answer=Totals)
async def totals(call: Call[Nothing, Nothing]) -> Totals:
    """Tell what was spent today and this month."""
    rows = await (await call.engine.ledger()).totals()
    prices = {
        profile: await asyncio.to_thread(_price, call.engine, profile)
        for profile in {row.profile for row in rows}
    }
    return Totals(
        rows=[
            TotalsRowAnswer(
                service=row.service,
                project=row.project,
                profile=row.profile,
                price=prices[row.profile][0],
                currency=prices[row.profile][1],
                today=SumAnswer.model_validate(row.today),
                month=SumAnswer.model_validate(row.month),
            )
            for row in rows
        ]
    )


@endpoint("GET", "/totals.csv", answer=Csv)
async def totals_csv(call: Call[Nothing, Nothing]) -> Csv:
    """Return what was spent today and this month."""
    lines = (
        {"service": row.service, "project": row.project, "profile": row.profile, "span": span}
        | SumAnswer.model_validate(total).model_dump()
        | {"cash": " + ".join(f"{amount:f} {currency}" for currency, amount in total.cash_charged.items())}
        for row in await (await call.engine.ledger()).totals()
        for span, total in (("today", row.today), ("month", row.month))
    )
    return Csv(_csv(TOTALS_COLUMNS, lines), "kling-once-totals.csv")


@endpoint("GET", "/history.csv", answer=Csv)
async def history_csv(call: Call[Nothing, Nothing]) -> Csv:
    """Return every attempt of the ledger."""
    rows = await (await call.engine.ledger()).history()
    lines = (AttemptAnswer.model_validate(row).model_dump(mode="json") for row in rows)
    return Csv(await asyncio.to_thread(_csv, ATTEMPT_COLUMNS, lines), "kling-once-history.csv")


def _price(engine: Engine, profile: str) -> tuple[float | None, Literal["USD", "CNY"] | None]:
    """Return what a unit costs by the list where a profile is used; blocking."""
    try:
        origin = engine.accounts.origin(Service.KLING, profile)
    except KlingOnceError:
        return None, None
    cash, currency = cash_of(Decimal(1), china=origin == CHINA_ORIGIN)
    return float(cash), "CNY" if currency == "CNY" else "USD"


def _limits(settings: Settings) -> LimitsAnswer:
    return LimitsAnswer.model_validate(
        {name: getattr(settings, name) for name in LIMITS}
        | {"from_environment": [name for name in LIMITS if is_from_environment(name)]}
    )


def _csv(columns: Iterable[str], lines: Iterable[Mapping[str, Any]]) -> str:
    """Return lines as CSV (RFC 4180) that no spreadsheet runs."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns := tuple(columns))
    for line in lines:
        writer.writerow([spreadsheet_cell(line[name]) for name in columns])
    return text.getvalue()
