"""Say everything about an order before it is placed: what is wrong, what it costs, whether it is paid."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from ..api.limits import MODELS, VIDEO_MAX_SECONDS
from ..errors import (
    BudgetReached,
    DiskFull,
    KlingOnceError,
    LedgerError,
    Violation,
)
from ..files import write_file
from ..ledger.budgets import budget_of
from ..ledger.decision import (
    CarryOn,
    Open,
    Refuse,
    Serve,
)
from ..order import SERVICES_OFF
from ..results.store import safe_name
from .element_staging import StagedElement
from .services import has_host
from .violations import order_violations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ..api.limits import Price
    from ..ledger.decision import Step
    from ..ledger.job import Job
    from ..ledger.ledger import Ledger
    from ..order import AnyOrder, Order
    from ..settings import Settings
    from .element_staging import AnyStaged
    from .services import Services
    from .staging import StagedInputs

DEAREST: Final = max(VIDEO_MAX_SECONDS.values()) * max(
    units for model in MODELS.values() for units in model.units_per_second.values()
)
"""Units; no task costs more."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    report: tuple[str, ...]
    """What would be done to the inputs."""
    price: Price | None
    job_key: str | None
    is_kept: bool
    """The result is here already: running the order costs nothing."""
    is_new: bool = False
    """Running the order would make a new task."""
    refusals: tuple[str, ...] = ()
    """What else stands in the way: no key, a limit to spending, a task id that is taken."""
    written: tuple[Path, ...] = ()
    """The picture and the clip as they would be sent, when a folder was given."""

    @property
    def ok(self) -> bool:
        """Tell whether the order would be sent, or its kept result handed over."""
        return self.is_kept or not (self.violations or self.refusals)


async def describe(
    staged: AnyStaged,
    origin: str,
    settings: Settings,
    services: Callable[[], Awaitable[Services]],
    *,
    write_to: Path | None = None,
    by_content: bool = False,
) -> Checked:
    """Say everything about an order whose staged inputs were made to fit. Nothing is sent.

    Args:
        staged: the order.
        origin: where it would be sent.
        settings: whose limits count.
        services: opens the ledger; where that fails, the inputs are described all the same.
        write_to: the folder that gets what would be sent.
        by_content: name what is written after its content, each once; a clip that is sent as it is stays
            where the user has it.

    Raises:
        DiskFull: `write_to` cannot be written.
    """
    order = staged.order
    written: tuple[Path, ...] = ()
    if write_to is not None and not isinstance(staged, StagedElement):
        written = await asyncio.to_thread(_write, staged, write_to, by_content=by_content)
    broken = order_violations(order, origin, settings, has_host=has_host(settings, order.service))
    step, refused = None, ()
    try:
        opened = await services()
        step = await opened.ledger.step(staged.job) if staged.job else None
        refused = await refusals(opened, order, step, staged.price, staged.job)
    except LedgerError as error:
        refused = (str(error),)
    return Checked(
        violations=(*broken, *staged.violations),
        notes=staged.notes,
        report=staged.report,
        price=staged.price,
        job_key=staged.job.key if staged.job else None,
        is_kept=isinstance(step, Serve),
        is_new=not isinstance(step, (Serve, CarryOn, Refuse)),
        refusals=refused,
        written=written,
    )


async def require_affordable(
    services: Services, orders: list[Order], check: Callable[[Order], Awaitable[Checked]]
) -> None:
    """Hold what the items of a list will cost together against the limits, before the first is sent.

    An item counts nothing that is kept or under way, or that is refused for itself. What each costs is found
    out only where they may not fit.

    Raises:
        BudgetReached: they do not fit; nothing was submitted.
    """
    for service in {order.service for order in orders}:
        items = [order for order in orders if order.service is service]
        own_limits = [one.max_units for one in items if one.max_units.is_finite() and one.max_units > 0]
        budget = budget_of(services.settings, service, min(own_limits, default=Decimal(0)))
        spent = await services.ledger.spent(service, items[0].spender)
        with suppress(BudgetReached):
            budget.check(spent, len(items) * DEAREST)
            continue
        found = await asyncio.gather(*map(check, items), return_exceptions=True)
        costs: dict[str, Decimal] = {}
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, KlingOnceError):
                raise one
            if isinstance(one, Checked) and one.is_new and one.ok and one.job_key and one.price:
                costs[one.job_key] = one.price.units
        budget.check(spent, sum(costs.values(), Decimal(0)), items=len(costs))


async def refusals(
    services: Services, order: AnyOrder, step: Step | None, price: Price | None, job: Job | None
) -> tuple[str, ...]:
    """Return why an order would be refused although its inputs are fine, one sentence each.

    Nobody outside is asked.
    """
    if isinstance(step, Serve):
        return ()
    if order.kept_only:
        return (SERVICES_OFF,)
    if isinstance(step, CarryOn):
        return ()
    if isinstance(step, Refuse):
        return (str(step.error),)
    found = await obstacles(services, order, price)
    try:
        await _require_free_id(services.ledger, job, step)
    except KlingOnceError as error:
        found = (*found, error)
    return tuple(map(str, found))


async def obstacles(services: Services, order: AnyOrder, price: Price | None) -> tuple[KlingOnceError, ...]:
    """Return what keeps any new order from being sent: key, ledger, hold switch, limits to spending.

    Args:
        services: of the engine, on its loop.
        order: to be sent.
        price: None while the length is not known; no limit to spending is looked at then.
    """
    looks: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: services.account(order.service, order.profile),
        services.ledger.require_writable,
        lambda: services.ledger.require_released(order.service),
        lambda: _require_budget(services, order, price),
    )
    found = []
    for look in looks:
        try:
            await look()
        except KlingOnceError as error:
            found.append(error)
    return tuple(found)


async def _require_budget(services: Services, order: AnyOrder, price: Price | None) -> None:
    """Pass unless a limit would refuse the order.

    Raises:
        BudgetReached: it would.
    """
    if price is not None and order.max_units.is_finite():
        spent = await services.ledger.spent(order.service, order.spender)
        budget_of(services.settings, order.service, order.max_units).check(spent, price.units)


async def _require_free_id(ledger: Ledger, job: Job | None, step: Step | None) -> None:
    """Pass unless the user's own task id names something else.

    Raises:
        ExternalIdTaken: it does.
    """
    if job is not None:
        number = step.number if isinstance(step, Open) else 1
        await ledger.require_free_id(job, job.order.profile, number)


def _write(staged: StagedInputs, folder: Path, *, by_content: bool) -> tuple[Path, ...]:
    """Leave what would be sent in a folder; by content, what is there already is used again."""
    order, written = staged.order, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if data := staged.image_data:
            ending = ".png" if data.startswith(b"\x89PNG") else ".jpg"
            name = blake3(data).hexdigest() if by_content else _shown(order.shown_image_name)
            written.append(folder / f"{name}{ending}")
            if not (by_content and written[-1].exists()):
                write_file(written[-1], data, durable=False)
        if (clip := staged.hosted) is not None:
            if by_content and staged.is_sent_as_it_is and staged.original is not None:
                return (*written, staged.original)
            name = clip.digest if by_content else _shown(order.shown_video_name)
            written.append(folder / f"{name}{clip.path.suffix or '.mp4'}")
            if not (by_content and written[-1].exists()):
                _copy(clip.path, written[-1])
    except OSError as error:
        raise DiskFull(f"{folder} cannot be written: {error.strerror}.") from None
    return tuple(written)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        write_file(target, lambda copy: shutil.copyfileobj(file, copy), durable=False)


def _shown(name: str) -> str:
    return f"{safe_name(name, 40)}_sent"
