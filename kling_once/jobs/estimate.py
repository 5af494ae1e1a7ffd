"""What to expect of a job under way, learned from this ledger's own past."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..api.prices import CNY_PER_UNIT, USD_PER_UNIT
from .attempt import AttemptState
from .tables import attempts, jobs

if TYPE_CHECKING:
    from .database import Database

LEARNED_FROM: Final = 20
"""Past jobs of the same service, model and mode; newer ones tell more."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is usual for a job, and what it costs."""

    seconds: float | None
    """From acceptance to the kept file; None without a past."""
    price: str
    """In words; empty when it is not known."""


def expectation(database: Database, job_key: str) -> Expectation:
    """Return what to expect of a job's newest attempt; blocking."""
    query = (
        sa.select(jobs.c.service, jobs.c.model, jobs.c.mode, attempts)
        .join_from(jobs, attempts)
        .where(jobs.c.job_key == job_key)
        .order_by(attempts.c.attempt_id.desc())
        .limit(1)
    )
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return Expectation(None, "")
    pace = pace_of(database, row.service, row.model, row.mode)
    return Expectation(usual_seconds(pace, row.seconds), _price(row.units_estimated, row.realm))


def pace_of(database: Database, service: str, model: str, mode: str) -> float | None:
    """Return how long past jobs took for a second of their clips; None without a past; blocking.

    Where there is none, every attempt of the ledger is looked at.
    """
    past = (
        sa.select(attempts.c.submitted_at, attempts.c.ended_at, attempts.c.seconds)
        .join_from(jobs, attempts)
        .where(
            jobs.c.service == service,
            jobs.c.model == model,
            jobs.c.mode == mode,
            attempts.c.state == AttemptState.KEPT.value,
            attempts.c.posts > 0,
            attempts.c.submitted_at.is_not(None),
            attempts.c.ended_at.is_not(None),
            attempts.c.seconds.is_not(None),
        )
        .order_by(attempts.c.attempt_id.desc())
        .limit(LEARNED_FROM)
    )
    with database.read() as connection:
        paces = [
            (ended - submitted) / 1000 / float(seconds)
            for submitted, ended, seconds in connection.execute(past)
            if float(seconds) > 0
        ]
    return median(paces) if paces else None


def usual_seconds(pace: float | None, clip_seconds: str | None) -> float | None:
    """Return how long a job of such a clip takes; None where one of both is not known."""
    return None if pace is None or not clip_seconds else pace * float(clip_seconds)


def _price(units_text: str | None, realm: str) -> str:
    if units_text is None:
        return ""
    units = Decimal(units_text).normalize()
    if realm == "sandbox":
        return f"free (would be up to {units:f} units)"
    rate, currency = (CNY_PER_UNIT, "CNY") if realm == "china" else (USD_PER_UNIT, "USD")
    return f"up to {units:f} units ({(units * rate).normalize():f} {currency})"
