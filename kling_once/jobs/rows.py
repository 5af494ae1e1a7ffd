"""The rows of a job and its attempts, read and written within a transaction of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import ExternalIdTaken
from .attempt import Attempt, AttemptState, attempt_of, column_values, milliseconds
from .tables import attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from .job import Job, Sender


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
    order, motion = job.order, job.order.motion
    connection.execute(
        sa.insert(jobs)
        .prefix_with("OR IGNORE")
        .values(
            job_key=job.key,
            service=order.service.value,
            realm=job.realm,
            project=order.project,
            model=motion.model,
            mode=motion.mode,
            character_orientation=motion.character_orientation,
            keep_original_sound=motion.keep_original_sound,
            prompt=motion.prompt,
            element_id=motion.element_id,
            watermark=motion.watermark,
            take=motion.take,
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
