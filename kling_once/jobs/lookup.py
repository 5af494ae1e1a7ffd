"""Ask the vendor for a task by one of its ids, and read the answer without guessing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ..api.limits import RESULT_LIFETIME_DAYS
from ..errors import ApiError, InvalidValue, KlingOnceError, ResourceMissing, TransportError

if TYPE_CHECKING:
    from datetime import datetime

    from ..api.client import KlingClient
    from ..api.models import Answer, Task
    from ..ledger.attempts import Attempt


def is_ours(task: Task, attempt: Attempt) -> bool:
    """Tell whether a task carries the attempt's external id."""
    return task.task_info.external_task_id == attempt.external_id


def is_absent(error: KlingOnceError) -> bool:
    """Tell whether the vendor said that it knows no task of that id.

    1201 is what a live probe saw, 1203 what the error table says. Everything else is no answer.
    """
    return isinstance(error, (InvalidValue, ResourceMissing))


async def look_up(client: KlingClient, external_id: str) -> Answer[Task] | None:
    """Return the task that carries an id, or None when the vendor knows none.

    Raises:
        ApiError, TransportError: no answer to the question.
    """
    try:
        return await client.get(external_id)
    except (ApiError, TransportError) as error:
        if is_absent(error):
            return None
        raise


def is_past_lifetime(created_at: datetime | None, server_time: datetime | None) -> bool:
    """Tell whether the vendor has cleared a task's files, by the vendor's own clock."""
    if created_at is None or server_time is None:
        return False
    return server_time - created_at > timedelta(days=RESULT_LIFETIME_DAYS)
