"""Say everything about an order before it is placed: what is wrong, what it costs, whether it is paid."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LedgerError, Violation
from .check import order_violations
from .job import realm_of
from .next_step import Serve
from .prepare import prepare
from .reading import read_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.prices import Price
    from ..settings import Settings
    from .job import Order
    from .ledger import Ledger


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

    @property
    def ok(self) -> bool:
        """Tell whether the order would be sent."""
        return not self.violations


def check_order(
    order: Order, origin: str, settings: Settings, ledger: Callable[[], Ledger], *, has_host: bool
) -> Checked:
    """Check an order; blocking. Nothing is sent, and nothing is written but temporary files."""
    job, unreadable = read_job(order, origin)
    china = realm_of(order.service, origin) == "china"
    with tempfile.TemporaryDirectory(prefix="kling-direct-", ignore_cleanup_errors=True) as folder:
        prepared = prepare(order, Path(folder), china=china)
    found = (*order_violations(order, origin, settings, has_host=has_host), *prepared.violations)
    known = {violation.field for violation in prepared.violations}
    kept = False
    if job is not None:
        try:
            kept = isinstance(ledger().step(job), Serve)
        except LedgerError:
            kept = False
    return Checked(
        violations=(*found, *(violation for violation in unreadable if violation.field not in known)),
        notes=prepared.notes,
        report=prepared.report,
        price=prepared.price,
        job_key=job.key if job else None,
        is_kept=kept,
    )
