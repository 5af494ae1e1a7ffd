"""An attempt: one paid task of a job, as a row of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .database import exclusive, insert_ignoring
from .tables import AttemptState, attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


MAX_ATTEMPTS: Final = 3
"""For one job; the ids of all three are looked up after a lost ledger."""

ENDED: Final = frozenset(
    {AttemptState.KEPT, AttemptState.FAILED, AttemptState.EXPIRED, AttemptState.REJECTED}
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of the table of attempts."""

    attempt_id: int
    job_key: str
    number: int
    """From 1, within its job."""
    state: AttemptState
    realm: str
    origin: str
    profile: str
    fingerprint: str
    generation: str
    """Which of the vendor's APIs it was sent to; it is asked for there alone."""
    external_id: str
    own_external_id: bool
    """The user chose the external id."""
    prompt_id: str
    node_id: str
    created_at: datetime
    seconds: Decimal | None
    """Of the reference video as it was sent; None for a URL, which only the vendor measures."""
    units_estimated: Decimal | None
    units_reserved: Decimal | None
    posts: int
    """How many creates were sent that could have made this task."""
    posted_at: datetime | None
    unknown_since: datetime | None
    submitted_at: datetime | None
    vendor_created_at: datetime | None
    ended_at: datetime | None
    task_id: str | None
    task_status: str | None
    reason: str | None
    """Why it ended without a video, in words for people."""
    reason_code: int | None
    units_charged: Decimal | None
    cash_charged: Decimal | None
    currency: str | None
    unread_charge: str | None
    """What the vendor wrote as the charge where it is no number: a charge of unknown size."""
    video_url: str | None = field(repr=False)
    watermark_url: str | None = field(repr=False)
    location: str | None
    """Where the media host put the reference video; None for a URL of the user's own."""
    made_element_id: str | None
    """The element that the task made, as digits."""
    result_path: str | None
    """Relative to the results folder, with forward slashes."""
    result_size_bytes: int | None
    result_digest: str | None
    result_seconds: Decimal | None
    owner: str | None
    """The name of the process that holds the lease."""
    lease_until: datetime | None

    @property
    def has_ended(self) -> bool:
        """Tell whether its state is final until somebody orders the job again."""
        return self.state in ENDED

    @property
    def is_charge_stated(self) -> bool:
        """Tell whether the vendor has said what it cost, be it nothing."""
        return not (self.units_charged is self.cash_charged is self.unread_charge is None)

    @property
    def shows_charge(self) -> bool:
        """Tell whether the vendor reported money for it."""
        return bool(self.units_charged or self.cash_charged or self.unread_charge)


def attempt_of(row: Any) -> Attempt:
    """Return a row of the table as an `Attempt`."""
    return Attempt(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def attempt_row(connection: sa.Connection, attempt_id: int, *, for_change: bool = False) -> Attempt:
    """Return one attempt; `for_change` keeps others from changing it until the transaction ends."""
    query = sa.select(attempts).where(attempts.c.attempt_id == attempt_id)
    return attempt_of(connection.execute(query.with_for_update() if for_change else query).one())


def attempt_rows(connection: sa.Connection, job_key: str, *, for_change: bool = False) -> list[Attempt]:
    """Return a job's attempts in the order of their numbers.

    `for_change` keeps others from changing them, or beginning one more, until the transaction ends.
    """
    query = sa.select(attempts).where(attempts.c.job_key == job_key).order_by(attempts.c.number)
    if for_change:
        exclusive(connection, "job", job_key)
        query = query.with_for_update()
    return [attempt_of(row) for row in connection.execute(query)]


def add_attempt(
    connection: sa.Connection, job_columns: dict[str, Any], number: int, columns: dict[str, Any]
) -> Attempt:
    """Insert an attempt for which nothing was posted, and its job unless it is there; return the attempt."""
    insert_ignoring(connection, jobs, job_columns | {"created_at": columns["created_at"]})
    values = {"job_key": job_columns["job_key"], "number": number, "posts": 0}
    connection.execute(sa.insert(attempts).values(values | columns))
    same = sa.and_(attempts.c.job_key == values["job_key"], attempts.c.number == number)
    return attempt_of(connection.execute(sa.select(attempts).where(same)).one())


def set_columns(connection: sa.Connection, attempt_id: int, columns: dict[str, Any]) -> Attempt:
    """Update an attempt, whoever holds its lease; return it as it is now."""
    connection.execute(sa.update(attempts).where(attempts.c.attempt_id == attempt_id).values(columns))
    return attempt_row(connection, attempt_id)
