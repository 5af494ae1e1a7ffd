"""The one loop that waits for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.models import Answer, Task, TaskStatus
from ..api.retry import may_read_again
from ..errors import (
    ApiError,
    InvalidValue,
    ResourceMissing,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..api.client import KlingClient

TERMINAL = frozenset({TaskStatus.SUCCEED, TaskStatus.FAILED})
LONGEST_PAUSE_FACTOR = 6


async def wait_for_end(
    client: KlingClient,
    task_id: str,
    *,
    pause: Callable[[float], Awaitable[None]],
    poll_seconds: float,
    on_answer: Callable[[Answer[Task]], Awaitable[None]],
    on_trouble: Callable[[ApiError | TransportError, int], Awaitable[None]],
) -> Answer[Task]:
    """Look at a task until it has ended, however long that takes; cancel to stop.

    Passing failures, an undocumented status and "no such task" for an id that is known to exist do
    not end the wait: `on_trouble` hears of each with the number in a row and may raise.

    Raises:
        ApiError: an answer that looking again cannot mend, such as a refused key.
    """
    troubles = 0
    while True:
        try:
            answer = await client.get_task(task_id)
        except (ApiError, TransportError) as error:
            if not (may_read_again(error) or isinstance(error, (InvalidValue, ResourceMissing))):
                raise
            troubles += 1
            await on_trouble(error, troubles)
        else:
            troubles = 0
            await on_answer(answer)
            if answer.value.status in TERMINAL:
                return answer
        await pause(poll_seconds * min(2**troubles, LONGEST_PAUSE_FACTOR) if troubles else poll_seconds)
