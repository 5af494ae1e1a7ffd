"""Which graphs ordered which jobs: a graph is known by a hash of the node and everything that leads to it."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import LedgerError
from .attempts import AttemptState, milliseconds
from .tables import (
    attempts,
    graphs,
    jobs,
    workflows,
)

if TYPE_CHECKING:
    from datetime import datetime

    from ..order import Graph
    from .database import Database

logger = logging.getLogger(__name__)

WITHOUT_VIDEO = (AttemptState.FAILED, AttemptState.EXPIRED, AttemptState.REJECTED)


def remember_graph(database: Database, job_key: str, graph: Graph, now: datetime) -> None:
    """Write down that a graph ordered a job; a ledger that refuses is logged, not raised."""
    text = "" if graph.workflow is None else json.dumps(graph.workflow, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
    values = {"workflow": digest, "ordered_at": milliseconds(now)}
    same = sa.and_(graphs.c.signature == graph.signature, graphs.c.job_key == job_key)
    try:
        with database.write() as connection:
            before = set(connection.execute(sa.select(graphs.c.workflow).where(same)).scalars()) - {digest}
            if text:
                connection.execute(
                    sa.insert(workflows).prefix_with("OR IGNORE").values(digest=digest, text=text)
                )
            connection.execute(
                sa.insert(graphs)
                .prefix_with("OR REPLACE")
                .values(signature=graph.signature, job_key=job_key, **values)
            )
            _drop_unused(connection, before)
    except LedgerError as error:
        logger.warning("The graph of job %s is not written down: %s", job_key[:10], error)


def forget_workflows(connection: sa.Connection, job_key: str) -> None:
    """Let go of the workflows that ordered a job, within a transaction."""
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


def workflow_of(database: Database, job_key: str) -> Any:
    """Return the newest workflow that ordered a job, None when none is known."""
    query = (
        sa.select(workflows.c.text)
        .join_from(graphs, workflows, graphs.c.workflow == workflows.c.digest)
        .where(graphs.c.job_key == job_key)
        .order_by(graphs.c.ordered_at.desc())
        .limit(1)
    )
    with database.read() as connection:
        text = connection.execute(query).scalar_one_or_none()
    return None if text is None else json.loads(text)


def times_failed(database: Database, signature: str) -> int:
    """Return how many attempts of a graph's jobs have ended without a video."""
    states = [state.value for state in WITHOUT_VIDEO]
    query = (
        sa.select(sa.func.count())
        .select_from(graphs.join(attempts, attempts.c.job_key == graphs.c.job_key))
        .where(graphs.c.signature == signature, attempts.c.state.in_(states))
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def kept_files(database: Database, signature: str) -> list[tuple[str, int]]:
    """Return path and size of every result that a graph's jobs have kept."""
    query = (
        sa.select(attempts.c.result_path, attempts.c.result_size_bytes)
        .select_from(graphs.join(attempts, attempts.c.job_key == graphs.c.job_key))
        .where(graphs.c.signature == signature, attempts.c.state == AttemptState.KEPT.value)
    )
    with database.read() as connection:
        return [(row.result_path, row.result_size_bytes) for row in connection.execute(query)]


def ordered_jobs(database: Database, signature: str) -> dict[str, str | None]:
    """Return every job that a graph has ordered, with its realm; None where none was ever begun for it."""
    query = (
        sa.select(graphs.c.job_key, jobs.c.realm)
        .select_from(graphs.outerjoin(jobs, jobs.c.job_key == graphs.c.job_key))
        .where(graphs.c.signature == signature)
    )
    with database.read() as connection:
        return {row.job_key: row.realm for row in connection.execute(query)}
