"""One paid task of a job, as the ledger holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

MAX_ATTEMPTS: Final = 3
"""For one job; the ids of all three are looked up after a lost ledger."""


class AttemptState(StrEnum):
    """Where an attempt stands.

    ::

        intent -> submitted -> succeeded -> kept
           |          |-----> failed
           |          `-----> expired
           |-> rejected
           |-> unknown -> submitted | rejected | intent
           `-> kept     (another ledger's result, in the same results folder)
    """

    INTENT = "intent"
    """Written down; whatever was posted since is known to have made nothing."""
    UNKNOWN = "unknown"
    """Posted, and nobody knows yet whether a task was made."""
    SUBMITTED = "submitted"
    """The vendor has the task."""
    SUCCEEDED = "succeeded"
    """The video exists at the vendor's."""
    KEPT = "kept"
    """The video exists here."""
    FAILED = "failed"
    EXPIRED = "expired"
    """The vendor no longer has the video."""
    REJECTED = "rejected"
    """The vendor refused; no task was made."""


ENDED: Final = frozenset(
    {AttemptState.KEPT, AttemptState.FAILED, AttemptState.EXPIRED, AttemptState.REJECTED}
)


def milliseconds(moment: datetime) -> int:
    """Return a moment as the ledger writes it."""
    return round(moment.timestamp() * 1000)


def moment_of(value: int | None) -> datetime | None:
    """Return a moment the ledger has written."""
    return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


def amount_of(value: str | None) -> Decimal | None:
    """Return an amount the ledger has written."""
    return None if value is None else Decimal(value)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of the ledger's attempts, with the job's names beside it."""

    attempt_id: int
    job_key: str
    number: int
    state: AttemptState
    realm: str
    origin: str
    profile: str
    fingerprint: str
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
    video_url: str | None = field(repr=False)
    watermark_url: str | None = field(repr=False)
    location: str | None
    """Where the media host put the reference video; None for a URL of the user's own."""
    result_path: str | None
    """Relative to the results folder, with forward slashes."""
    result_size_bytes: int | None
    result_digest: str | None
    result_seconds: Decimal | None
    owner: str | None
    lease_until: datetime | None

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more happens to it by itself."""
        return self.state in ENDED

    @property
    def shows_charge(self) -> bool:
        """Tell whether the vendor reported money for it."""
        return bool(self.units_charged) or bool(self.cash_charged)


_MOMENTS: Final = frozenset(
    {
        "created_at",
        "posted_at",
        "unknown_since",
        "submitted_at",
        "vendor_created_at",
        "ended_at",
        "lease_until",
    }
)
_AMOUNTS: Final = frozenset(
    {"seconds", "units_estimated", "units_reserved", "units_charged", "cash_charged", "result_seconds"}
)


def attempt_of(row: Any) -> Attempt:
    """Return a ledger row as an `Attempt`."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    for name in _MOMENTS:
        values[name] = moment_of(values[name])
    for name in _AMOUNTS:
        values[name] = amount_of(values[name])
    values["state"] = AttemptState(values["state"])
    return Attempt(**values)


def column_values(changes: dict[str, Any]) -> dict[str, Any]:
    """Return changes as the ledger writes them."""
    return {name: _column_value(value) for name, value in changes.items()}


def _column_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return milliseconds(value)
    if isinstance(value, Decimal):
        return str(value)
    return value.value if isinstance(value, StrEnum) else value
