"""Which graphs ordered which jobs: a graph is known by a hash of the node and everything that leads to it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import JobError, ResultGone
from .attempts import attempt_rows
from .database import exclusive, insert_ignoring, upsert
from .tables import (
    AttemptState,
    attempts,
    graphs,
    jobs,
    workflows,
)

if TYPE_CHECKING:
    from datetime import datetime

    from ..order import Graph
    from .attempts import Attempt


WITHOUT_VIDEO = (AttemptState.FAILED, AttemptState.EXPIRED, AttemptState.REJECTED)


def remember_graph(connection: sa.Connection, now: datetime, job_key: str, graph: Graph) -> None:
    """Note that a graph ordered a job; its workflow takes the place of an earlier one."""
    text = "" if graph.workflow is None else json.dumps(graph.workflow, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
    exclusive(connection, "workflows")
    same = sa.and_(graphs.c.signature == graph.signature, graphs.c.job_key == job_key)
    before = set(connection.execute(sa.select(graphs.c.workflow).where(same)).scalars()) - {digest}
    if text:
        insert_ignoring(connection, workflows, {"digest": digest, "text": text})
    keys = {"signature": graph.signature, "job_key": job_key}
    upsert(connection, graphs, keys | {"workflow": digest, "ordered_at": now})
    _drop_unused(connection, before)


def forget_workflows(connection: sa.Connection, job_key: str) -> None:
    """Delete the workflows that ordered a job, unless another job has them too."""
    exclusive(connection, "workflows")
    of_job = graphs.c.job_key == job_key
    before = set(connection.execute(sa.select(graphs.c.workflow).where(of_job)).scalars())
    connection.execute(sa.update(graphs).where(of_job).values(workflow=""))
    _drop_unused(connection, before)


def _drop_unused(connection: sa.Connection, digests: set[str]) -> None:
    """Delete those of the workflows that no graph leads to: they are large, and tell much."""
    if digests:
        used = sa.select(graphs.c.workflow).where(graphs.c.workflow.in_(digests))
        unused = sa.and_(workflows.c.digest.in_(digests), workflows.c.digest.not_in(used))
        connection.execute(sa.delete(workflows).where(unused))


def workflow_of(connection: sa.Connection, job_key: str) -> Any:
    """Return the newest workflow that ordered a job, None when none is known."""
    query = (
        sa.select(workflows.c.text)
        .join_from(graphs, workflows, graphs.c.workflow == workflows.c.digest)
        .where(graphs.c.job_key == job_key)
        .order_by(graphs.c.ordered_at.desc())
        .limit(1)
    )
    text = connection.execute(query).scalar_one_or_none()
    return None if text is None else json.loads(text)


def times_failed(connection: sa.Connection, signature: str) -> int:
    """Return how many attempts of a graph's jobs have ended without a video."""
    query = (
        sa.select(sa.func.count())
        .select_from(graphs.join(attempts, attempts.c.job_key == graphs.c.job_key))
        .where(graphs.c.signature == signature, attempts.c.state.in_(WITHOUT_VIDEO))
    )
    return int(connection.execute(query).scalar_one())


def kept_files(connection: sa.Connection, signature: str) -> list[tuple[str, int]]:
    """Return path and size of every result that a graph's jobs have kept."""
    query = (
        sa.select(attempts.c.result_path, attempts.c.result_size_bytes)
        .select_from(graphs.join(attempts, attempts.c.job_key == graphs.c.job_key))
        .where(
            graphs.c.signature == signature,
            attempts.c.state == AttemptState.KEPT,
            attempts.c.made_element_id.is_(None),
        )
    )
    return [(row.result_path, row.result_size_bytes) for row in connection.execute(query)]


def ordered_jobs(connection: sa.Connection, signature: str) -> dict[str, str | None]:
    """Return every job that a graph has ordered, with its realm; None where none was ever begun for it."""
    query = (
        sa.select(graphs.c.job_key, jobs.c.realm)
        .select_from(graphs.outerjoin(jobs, jobs.c.job_key == graphs.c.job_key))
        .where(graphs.c.signature == signature)
    )
    return {row.job_key: row.realm for row in connection.execute(query)}


def hide(connection: sa.Connection, now: datetime, job_key: str) -> list[Attempt]:
    """Hide a job and delete its workflow; return the job's attempts.

    An intent that was never posted, and that nobody works on, may be hidden as well: it holds no task, and
    what it had reserved is free again. A later attempt of the same job shows it again.

    Raises:
        ResultGone: the ledger knows no such job.
        JobError: the job is under way.
    """
    known = attempt_rows(connection, job_key, for_change=True)
    if not known:
        raise ResultGone(f"The ledger knows no job {job_key[:10]!r}.")
    idle = [attempt.attempt_id for attempt in known if _was_never_sent(attempt, now)]
    running = next((one for one in known if not one.has_ended and one.attempt_id not in idle), None)
    if running is not None:
        raise JobError(
            f"Job {job_key[:10]} is not done ({running.state.value}).",
            hint="Collect it first: what is paid must not be lost from sight.",
            task_id=running.task_id,
        )
    connection.execute(
        sa.update(attempts)
        .where(attempts.c.attempt_id.in_(idle))
        .values(owner=None, lease_until=None, units_reserved=None)
    )
    connection.execute(sa.update(jobs).where(jobs.c.job_key == job_key).values(hidden_at=now))
    forget_workflows(connection, job_key)
    return known


def _was_never_sent(attempt: Attempt, now: datetime) -> bool:
    is_leased = attempt.owner is not None and attempt.lease_until is not None and attempt.lease_until >= now
    return attempt.state is AttemptState.INTENT and attempt.posted_at is None and not is_leased


def is_hidden(connection: sa.Connection, job_key: str) -> bool:
    """Tell whether a job is hidden."""
    query = sa.select(jobs.c.job_key).where(jobs.c.job_key == job_key, jobs.c.hidden_at.is_not(None))
    return connection.execute(query).first() is not None


def show_again(connection: sa.Connection, job_key: str) -> None:
    """Show a hidden job again."""
    connection.execute(sa.update(jobs).where(jobs.c.job_key == job_key).values(hidden_at=None))
