"""Why an order would be refused although its inputs are fine. Nobody outside is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..errors import KlingDirectError
from .budget import budget_of
from .hold import require_released_in
from .next_step import CarryOn, Refuse, Serve
from .spending import spent_so_far
from .tables import attempts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.prices import Price
    from ..settings import Settings
    from .accounts import Account
    from .job import Job, Order
    from .ledger import Ledger
    from .next_step import Step


def refusals(
    order: Order,
    step: Step | None,
    price: Price | None,
    job: Job | None,
    ledger: Ledger,
    settings: Settings,
    account: Callable[[], Account],
) -> tuple[str, ...]:
    """Return what stands in the way, one sentence each; blocking."""
    if isinstance(step, Serve):
        return ()
    if order.kept_only:
        return (order.kept_only,)
    if isinstance(step, CarryOn):
        return ()
    if isinstance(step, Refuse):
        return (str(step.error),)
    found = []
    for look in (
        account,
        ledger.require_writable,
        lambda: _spending(order, price, ledger, settings),
    ):
        try:
            look()
        except KlingDirectError as error:
            found.append(str(error))
    if job is not None and (taken := _id_taken(job, ledger)):
        found.append(taken)
    return tuple(found)


def _spending(order: Order, price: Price | None, ledger: Ledger, settings: Settings) -> None:
    """Pass unless the hold switch or a limit would refuse the order.

    Raises:
        SubmissionsHeld, BudgetReached: it would.
    """
    with ledger.database.read() as connection:
        require_released_in(connection, order.service)
        spent = spent_so_far(connection, order.service.value, order.spender, ledger.clock.now())
    if price is not None and order.max_units.is_finite():
        budget_of(settings, order.service, order.max_units).check(spent, price.units_at_most)


def _id_taken(job: Job, ledger: Ledger) -> str:
    wanted = job.order.external_task_id
    if not wanted:
        return ""
    holder = sa.select(attempts.c.job_key).where(
        attempts.c.realm == job.realm,
        attempts.c.profile == job.order.profile,
        attempts.c.external_id == wanted,
        attempts.c.job_key != job.key,
    )
    with ledger.database.read() as connection:
        taken = connection.execute(holder).first()
    return (
        f"The task id {wanted!r} of your own belongs to another job, {taken.job_key[:10]}." if taken else ""
    )
