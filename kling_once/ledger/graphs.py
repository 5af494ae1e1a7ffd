"""Which graphs ordered which jobs: a graph is known by a hash of the node and everything that leads to it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from .database import insert_ignoring, upsert
from .tables import AttemptState, attempts, graphs, jobs, workflows

if TYPE_CHECKING:
    from datetime import datetime

    from ..order import Graph

WITHOUT_VIDEO = (AttemptState.FAILED, AttemptState.EXPIRED, AttemptState.REJECTED)


def remember_graph(connection: sa.Connection, job_key: str, graph: Graph, now: datetime) -> None:
    """Note that a graph ordered a job; its workflow takes the place of an earlier one."""
    text = "" if graph.workflow is None else json.dumps(graph.workflow, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
    same = sa.and_(graphs.c.signature == graph.signature, graphs.c.job_key == job_key)
    before = set(connection.execute(sa.select(graphs.c.workflow).where(same)).scalars()) - {digest}
    if text:
        insert_ignoring(connection, workflows, {"digest": digest, "text": text})
    keys = {"signature": graph.signature, "job_key": job_key}
    upsert(connection, graphs, keys | {"workflow": digest, "ordered_at": now})
    _drop_unused(connection, before)


def forget_workflows(connection: sa.Connection, job_key: str) -> None:
    """Delete the workflows that ordered a job, unless another job has them too."""
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
        .where(graphs.c.signature == signature, attempts.c.state == AttemptState.KEPT)
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
