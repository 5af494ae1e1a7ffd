"""The vendor's task: asked for by one of its ids, read without guessing, and as columns of the ledger."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from ..api.client import OtherTask
from ..api.limits import RESULT_LIFETIME_DAYS, is_path_id
from ..api.models import TaskStatus, moment_of
from ..errors import (
    ApiError,
    JobError,
    KlingOnceError,
    UnreadableAnswer,
    vendor_text,
)
from ..ledger.attempts import AttemptState
from ..order import SANDBOX_REALM
from ..origins import url_parts

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from ..api.client import KlingClient
    from ..api.models import Answer, Task
    from ..ledger.attempts import Attempt
    from ..media.types import ClipFacts
    from ..results.store import KeptFile, Sidecar


_SECONDS: Final = re.compile("[0-9]{1,15}")
ABSENT_IN_SANDBOX: Final = 3
"""How many looks in a row must miss a task before the sandbox counts as having lost it."""


def task_columns(task: Task, external_id: str, realm: str, now: datetime) -> dict[str, Any]:
    """Return a task that was found by its external id, or by its task id, as the ledger first notes it."""
    columns: dict[str, Any] = {
        "state": AttemptState.SUBMITTED,
        "task_id": asked_as(task, external_id),
        "task_status": task.task_status,
        "vendor_created_at": task.created_at,
        "submitted_at": task.created_at,
    }
    if task.status is TaskStatus.FAILED:
        columns |= failure_columns(task, now) | charge_columns(task, realm)
    return columns


def failure_columns(task: Task, now: datetime) -> dict[str, Any]:
    """Return when and why a task failed."""
    return {"state": AttemptState.FAILED, "ended_at": now, "reason": task.failure_reason}


def charge_columns(task: Task, realm: str) -> dict[str, Any]:
    """Return what the vendor charged: units, or cash with its currency, or what cannot be read.

    The currency is the answer's, else the realm's; what a test balance paid counts by itself.
    """
    cash = task.final_balance_deduction
    currency = cash.currency or {"china": "CNY"}.get(realm, "USD")
    if cash.is_test:
        currency += " of a test balance"
    return {
        "units_charged": task.final_unit_deduction,
        "cash_charged": cash.quota,
        "currency": currency if cash.quota is not None else None,
        "unread_charge": task.unread_charge or None,
    }


def link_columns(task: Task) -> dict[str, Any]:
    """Return the links of a task's video."""
    video = task.video
    return {
        "video_url": video.url if video else None,
        "watermark_url": (video.watermark_url or None) if video else None,
    }


def place_columns(kept: KeptFile) -> dict[str, Any]:
    """Return where a kept file lies."""
    return {
        "state": AttemptState.KEPT,
        "result_path": kept.relative,
        "result_size_bytes": kept.size_bytes,
        "result_digest": kept.digest,
    }


def kept_columns(kept: KeptFile, facts: ClipFacts) -> dict[str, Any]:
    """Return a file that has just been kept."""
    seconds = Decimal(str(round(facts.duration_seconds, 3)))
    return place_columns(kept) | {"result_seconds": seconds, "reason": None}


def found_columns(kept: KeptFile, sidecar: Sidecar) -> dict[str, Any]:
    """Return a kept result that the ledger does not know."""
    return place_columns(kept) | {
        "task_id": sidecar.task_id,
        "task_status": TaskStatus.SUCCEED.value,
        "seconds": sidecar.seconds,
        "units_estimated": sidecar.units_estimated,
        "units_charged": sidecar.units_charged,
        "cash_charged": sidecar.cash_charged,
        "currency": sidecar.currency,
        "unread_charge": sidecar.unread_charge,
        "vendor_created_at": sidecar.vendor_created_at,
    }


def of_an_element(name: str) -> JobError:
    """Return the error for a name that was given for a video's task, and is an element's."""
    return JobError(
        f"{name} belongs to an element, and to no video.",
        hint="There is nothing to fetch: an element is used by its id. List Elements and"
        " `kling-once elements list` show it.",
    )


def is_ours(task: Task, attempt: Attempt) -> bool:
    """Tell whether a task carries the attempt's external id."""
    return task.task_info.external_task_id == attempt.external_id


async def if_known(client: KlingClient, answer: Awaitable[Answer[Task]]) -> Answer[Task] | None:
    """Return an answer about one task, or None when the vendor says that it knows none.

    Raises:
        ApiError, TransportError: no answer to the question.
    """
    try:
        return await answer
    except client.absent:
        return None


async def look_up(client: KlingClient, external_id: str) -> Answer[Task] | None:
    """Return the task that carries an external id, or None; raises as `if_known`."""
    return await if_known(client, client.find(external_id))


def asked_as(task: Task, external_id: str) -> str:
    """Return the id to ask for a task by: its external id where a path cannot hold the vendor's own."""
    return task.task_id if task.is_askable else external_id


async def ask(client: KlingClient, attempt: Attempt) -> Answer[Task]:
    """Return an attempt's task.

    Where the vendor does not know its task id, or answers with another task, it is looked for by its
    external id: what is paid must stay within reach.

    Raises:
        ApiError, TransportError: no answer, or none about this task.
    """
    task_id, external_id = attempt.task_id or "", attempt.external_id
    is_ours_alone = external_id != task_id
    try:
        if is_path_id(task_id):
            return await client.get_task(task_id, external_id if is_ours_alone else "")
        lost: KlingOnceError = UnreadableAnswer(
            f"Kling named the task {vendor_text(task_id)!r}, which cannot be asked for."
        )
    except (*client.absent, OtherTask) as error:
        lost = error
    found = await look_up(client, external_id) if is_ours_alone else None
    if found is None or not is_ours(found.value, attempt):
        raise lost
    return found


def is_past_lifetime(attempt: Attempt, task: Task | None, server_time: datetime | None) -> bool:
    """Tell whether the vendor has cleared a task's files, by the vendor's own clock.

    The age counts from the latest moment that is known: a time that the vendor misstates ends nothing.
    """
    moments = (attempt.submitted_at, attempt.vendor_created_at, task.created_at if task else None)
    known = [moment for moment in moments if moment is not None]
    if not known or server_time is None:
        return False
    return server_time - max(known) > timedelta(days=RESULT_LIFETIME_DAYS)


def is_lost(attempt: Attempt, error: KlingOnceError, absences: int) -> bool:
    """Tell whether a task that the service does not know is gone for good.

    Kling keeps a task for 30 days, and may miss it for a while before. A sandbox that does not know one has
    lost its state.

    Args:
        attempt: whose task it is.
        error: the service's last answer.
        absences: how many looks in a row had this answer.
    """
    if attempt.realm == SANDBOX_REALM and absences >= ABSENT_IN_SANDBOX:
        return True
    return isinstance(error, ApiError) and is_past_lifetime(attempt, None, error.server_time)


class Gone(Exception):
    """The service no longer has a task, or its video.

    Args:
        server_time: the service's clock when it said so, None where it named no time.
    """

    def __init__(self, server_time: datetime | None) -> None:
        super().__init__()
        self.server_time = server_time


def link_expiry(url: str) -> datetime | None:
    """Return when a signed link expires by its own text, None where it does not say."""
    for name, value in parse_qsl(url_parts(url).query):
        if name.casefold() == "expires" and _SECONDS.fullmatch(value):
            return moment_of(int(value) * 1000)
    return None
