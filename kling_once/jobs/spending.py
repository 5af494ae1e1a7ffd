"""What has been spent or reserved, read from the ledger."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from .attempt import AttemptState, attempt_of, milliseconds
from .budget import Spent
from .tables import attempts, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from .job import Spender


def give_back_abandoned(connection: sa.Connection, now: datetime) -> None:
    """Free what is reserved for intents that were never sent and that nobody holds any more.

    Their holder was killed; one that was only stopped reserves again before it sends.
    """
    connection.execute(
        sa.update(attempts)
        .where(
            attempts.c.state == AttemptState.INTENT.value,
            attempts.c.posted_at.is_(None),
            attempts.c.lease_until < milliseconds(now),
        )
        .values(units_reserved=None)
    )


def spent_so_far(connection: sa.Connection, service: str, spender: Spender, now: datetime) -> Spent:
    """Return the units of this service that count against the limits of `spender`, and of the local day.

    The charge counts where the vendor states one, else the reservation: also for a failed task, since no
    page says that failures are free. A refused create made nothing and counts nothing; nor does a task
    that was neither sent nor reserved from here, but found. Rows from the future are a wrong clock's.
    """
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = connection.execute(
        sa.select(attempts)
        .join_from(attempts, jobs)
        .where(
            jobs.c.service == service,
            attempts.c.state != AttemptState.REJECTED.value,
            sa.or_(attempts.c.posts > 0, attempts.c.units_reserved.is_not(None)),
            attempts.c.created_at <= milliseconds(now + timedelta(days=1)),
            sa.or_(
                attempts.c.created_at >= milliseconds(midnight), attempts.c.prompt_id == spender.prompt_id
            ),
        )
    )
    node = prompt = day = Decimal(0)
    for attempt in map(attempt_of, rows):
        units = attempt.units_charged if attempt.units_charged is not None else attempt.units_reserved
        if units is None:
            continue
        if attempt.created_at >= midnight:
            day += units
        if attempt.prompt_id == spender.prompt_id:
            prompt += units
            if attempt.node_id == spender.node_id:
                node += units
    return Spent(by_node=node, by_prompt=prompt, by_day=day)
