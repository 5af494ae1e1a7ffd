"""Why an order would be refused although its inputs are fine. Nobody outside is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import KlingOnceError
from .budget import budget_of
from .hold import require_released_in
from .next_step import CarryOn, Open, Refuse, Serve
from .rows import external_id_for
from .spending import spent_so_far

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
        lambda: _name(job, step, ledger),
    ):
        try:
            look()
        except KlingOnceError as error:
            found.append(str(error))
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


def _name(job: Job | None, step: Step | None, ledger: Ledger) -> None:
    """Pass unless the user's own task id names something else.

    Raises:
        ExternalIdTaken: it does.
    """
    if job is not None:
        with ledger.database.read() as connection:
            number = step.number if isinstance(step, Open) else 1
            external_id_for(connection, job, job.order.profile, number)
