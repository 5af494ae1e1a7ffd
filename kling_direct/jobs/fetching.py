"""Find the attempt that a person names; a task that the ledger does not know is adopted from the vendor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import ResultGone
from .history import find_attempt, job_row
from .job import JobLabel, Service

if TYPE_CHECKING:
    from .attempt import Attempt
    from .database import Database
    from .desk import Desk


async def attempt_to_collect(desk: Desk, name: str) -> Attempt:
    """Return the attempt named by a job key, a task id or an external id.

    Raises:
        ResultGone: the ledger knows nothing of that name.
    """
    attempt = await asyncio.to_thread(find_attempt, desk.ledger.database, name)
    if attempt is None:
        raise ResultGone(
            f"The ledger {desk.ledger.database.path} knows no job or task named {name[:128]!r}.",
            hint="'kling-direct jobs' lists what it knows.",
        )
    return attempt


def label_of(database: Database, job_key: str) -> JobLabel:
    """Return what a job is called; blocking."""
    row = job_row(database, job_key)
    return JobLabel(job_key, Service(row.service), row.project, row.image_name, row.video_name, row.take)
