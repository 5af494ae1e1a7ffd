"""One paid task of a job, as the ledger holds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ..errors import ExternalIdTaken
from .tables import attempts, jobs

if TYPE_CHECKING:
    from ..order import Sender
    from .job import Job


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


def attempt_row(connection: sa.Connection, attempt_id: int) -> Attempt:
    """Return one attempt."""
    return attempt_of(
        connection.execute(sa.select(attempts).where(attempts.c.attempt_id == attempt_id)).one()
    )


def attempt_rows(connection: sa.Connection, job_key: str) -> list[Attempt]:
    """Return a job's attempts in the order of their numbers."""
    query = sa.select(attempts).where(attempts.c.job_key == job_key).order_by(attempts.c.number)
    return [attempt_of(row) for row in connection.execute(query)]


def _add_job(connection: sa.Connection, job: Job, now: datetime) -> None:
    order = job.order
    connection.execute(
        sa.insert(jobs)
        .prefix_with("OR IGNORE")
        .values(
            job_key=job.key,
            service=order.service.value,
            realm=job.realm,
            project=order.project,
            **asdict(order.motion),
            image_name=order.shown_image_name,
            video_name=order.shown_video_name,
            image_digest=job.image_digest,
            video_digest=job.video_digest,
            created_at=milliseconds(now),
        )
    )


def add_attempt(connection: sa.Connection, job: Job, number: int, columns: dict[str, Any]) -> int:
    """Add an attempt that nothing was posted for, and its job where that is not there; return its id."""
    _add_job(connection, job, columns["created_at"])
    values = column_values(columns)
    inserted = connection.execute(
        sa.insert(attempts).values(job_key=job.key, number=number, posts=0, **values)
    )
    return inserted.lastrowid


def add_found(
    connection: sa.Connection, job: Job, number: int, sender: Sender, now: datetime, columns: dict[str, Any]
) -> None:
    """Add an attempt that was made elsewhere; it counts against no limit here."""
    named = {"external_id": job.external_id(number), "own_external_id": False, "created_at": now}
    add_attempt(connection, job, number, sender_columns(job, sender) | named | columns)


def take_back(connection: sa.Connection, attempt: Attempt, columns: dict[str, Any]) -> None:
    """Make an attempt kept; who works on it hears that its lease is gone, and serves what is here."""
    values = columns | {"state": AttemptState.KEPT, "owner": None, "lease_until": None}
    connection.execute(
        sa.update(attempts).where(attempts.c.attempt_id == attempt.attempt_id).values(column_values(values))
    )


def sender_columns(job: Job, sender: Sender) -> dict[str, Any]:
    """Return where an order goes, with whose account, and who spends, as ledger columns."""
    return {
        "realm": job.realm,
        "origin": job.origin,
        "profile": sender.profile,
        "fingerprint": sender.fingerprint,
        "prompt_id": job.order.spender.prompt_id,
        "node_id": job.order.spender.node_id,
    }


def id_holder(connection: sa.Connection, realm: str, profile: str, external_id: str) -> Attempt | None:
    """Return the attempt that has an external id, None where it is free."""
    query = sa.select(attempts).where(
        attempts.c.realm == realm, attempts.c.profile == profile, attempts.c.external_id == external_id
    )
    row = connection.execute(query).one_or_none()
    return attempt_of(row) if row else None


def external_id_for(connection: sa.Connection, job: Job, profile: str, number: int) -> str:
    """Return the external id of a job's next create.

    Raises:
        ExternalIdTaken: the user's own id belongs to something else.
    """
    wanted = job.order.external_task_id
    if not wanted:
        return job.external_id(number)
    if number > 1:
        raise ExternalIdTaken(
            f"The task id {wanted!r} of your own named this job's first attempt.",
            hint="Leave external_task_id empty, or give another one, to try again.",
        )
    holder = id_holder(connection, job.realm, profile, wanted)
    if holder and holder.job_key != job.key:
        raise ExternalIdTaken(
            f"The task id {wanted!r} of your own belongs to another job, {holder.job_key[:10]}.",
            hint="Give another external_task_id, or leave it empty.",
            task_id=holder.task_id,
        )
    return wanted
