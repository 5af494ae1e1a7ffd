"""The ledger's tables, and how values lie in their columns."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from ..api.models import amount_of
from ..api.motion_control import MOTION_SETTINGS

if TYPE_CHECKING:
    from sqlalchemy import Dialect

HEAD: Final = "0001"
"""The newest migration."""


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
    NEWER = "newer"
    """Stands for every state that this version does not know; never written."""


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """A moment, stored as milliseconds since 1970 UTC; what is none or out of range reads as `unreadable`."""

    impl = BigInteger
    cache_ok = True

    def __init__(self, unreadable: datetime | None = None) -> None:
        super().__init__()
        self.unreadable = unreadable

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Return a timezone-aware moment as it is stored."""
        return None if value is None else round(value.timestamp() * 1000)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Return a stored moment, in UTC."""
        try:
            return None if value is None else datetime.fromtimestamp(value / 1000, UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            return self.unreadable


class Amount(TypeDecorator[Decimal]):
    """An exact amount, stored as decimal text; what is no finite amount reads as None."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Decimal | str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Return an amount as it is stored."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Return a stored amount."""
        return amount_of(value)


class State(TypeDecorator[AttemptState]):
    """The state of an attempt, stored as its name; one that is not known here is a newer version's."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: AttemptState | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Return a state as it is stored.

        Raises:
            ValueError: it is no state of this version.
        """
        if value is AttemptState.NEWER:
            raise ValueError("a newer version's state is never written")
        return None if value is None else AttemptState(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> AttemptState | None:  # noqa: ARG002 - SQLAlchemy calls it so
        """Return a stored state."""
        try:
            return None if value is None else AttemptState(value)
        except ValueError:
            return AttemptState.NEWER


SETTING_TYPES: Final = {str: String, bool: Boolean, int: Integer}
"""Column types by the type of a setting's default."""

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("job_key", String, primary_key=True),
    Column("service", String, nullable=False),
    Column("realm", String, nullable=False),
    Column("project", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("element_name", String, nullable=False),
    *(Column(item.name, SETTING_TYPES[type(item.default)], nullable=False) for item in MOTION_SETTINGS),
    Column("image_name", String, nullable=False),
    Column("video_name", String, nullable=False),
    Column("image_digest", String, nullable=False),
    Column("video_digest", String, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("created_at", Moment(EPOCH), nullable=False),
    Column("hidden_at", Moment),
    Index("jobs_by_date", "created_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Integer, primary_key=True),
    Column("job_key", String, ForeignKey("jobs.job_key"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", State, nullable=False),
    Column("realm", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("profile", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("generation", String, nullable=False),
    Column("external_id", String, nullable=False),
    Column("own_external_id", Boolean, nullable=False),
    Column("prompt_id", String, nullable=False),
    Column("node_id", String, nullable=False),
    Column("created_at", Moment(EPOCH), nullable=False),
    Column("seconds", Amount),
    Column("units_estimated", Amount),
    Column("units_reserved", Amount),
    Column("posts", Integer, nullable=False),
    Column("posted_at", Moment),
    Column("unknown_since", Moment),
    Column("submitted_at", Moment),
    Column("vendor_created_at", Moment),
    Column("ended_at", Moment),
    Column("task_id", String),
    Column("task_status", String),
    Column("reason", String),
    Column("reason_code", Integer),
    Column("units_charged", Amount),
    Column("cash_charged", Amount),
    Column("currency", String),
    Column("unread_charge", String),
    Column("video_url", String),
    Column("watermark_url", String),
    Column("location", String),
    Column("made_element_id", String),
    Column("result_path", String),
    Column("result_size_bytes", BigInteger),
    Column("result_digest", String),
    Column("result_seconds", Amount),
    Column("owner", String),
    Column("lease_until", Moment),
    UniqueConstraint("job_key", "number"),
    UniqueConstraint("realm", "profile", "external_id"),
    Index("attempts_by_task", "task_id"),
    Index("attempts_by_date", "created_at"),
)

slots = Table(
    "slots",
    metadata,
    Column("place", Integer, primary_key=True),
    Column("attempt_id", Integer, ForeignKey("attempts.attempt_id"), nullable=False),
    Column("room", String, nullable=False),
    Column("taken_at", Moment),
    UniqueConstraint("attempt_id"),
    Index("slots_by_room", "room"),
)

rooms = Table(
    "rooms",
    metadata,
    Column("room", String, primary_key=True),
    Column("believed", Integer, nullable=False),
    Column("refused_at", Moment(EPOCH), nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("location", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("created_at", Moment(EPOCH), nullable=False),
    Column("signed_until", Moment(EPOCH), nullable=False),
)

graphs = Table(
    "graphs",
    metadata,
    Column("signature", String, primary_key=True),
    Column("job_key", String, primary_key=True),
    Column("workflow", String, nullable=False),
    Column("ordered_at", Moment(EPOCH), nullable=False),
    Index("graphs_by_job", "job_key"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("digest", String, primary_key=True),
    Column("text", String, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
