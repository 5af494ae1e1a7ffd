"""Say everything about an order before it is placed: what is wrong, what it costs, whether it is paid."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from ..errors import (
    DiskFull,
    KlingOnceError,
    LedgerError,
    Violation,
)
from ..ledger.attempts import external_id_for
from ..ledger.budgets import budget_of, spent_so_far
from ..ledger.decision import (
    CarryOn,
    Open,
    Refuse,
    Serve,
)
from ..ledger.notes import require_released_in
from ..order import SERVICES_OFF, VideoFile, realm_of
from .prepare import Prepared, prepare
from .reading import read_job
from .results import safe_name
from .violations import order_violations
from .work_places import clip_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..accounts.accounts import Account
    from ..api.prices import Price
    from ..ledger.decision import Step
    from ..ledger.job import Job
    from ..ledger.ledger import Ledger
    from ..media.types import Stop
    from ..order import Order
    from ..settings import Settings
    from .work_places import WorkPlaces


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
    refusals: tuple[str, ...] = ()
    """What else stands in the way: no key, a limit to spending, a task id that is taken."""
    written: tuple[Path, ...] = ()
    """The picture and the clip as they would be sent, when a folder was given."""

    @property
    def ok(self) -> bool:
        """Tell whether the order would be sent, or its kept result handed over."""
        return self.is_kept or not (self.violations or self.refusals)


def check_order(
    order: Order,
    origin: str,
    settings: Settings,
    ledger: Callable[[], Ledger],
    account: Callable[[], Account],
    *,
    places: WorkPlaces,
    has_host: bool,
    write_to: Path | None = None,
    by_content: bool = False,
    stop: Stop | None = None,
) -> Checked:
    """Check an order; blocking. Nothing is sent, and nothing is written but temporary files.

    Raises:
        MediaStopped: `stop` said so.
        DiskFull: `write_to` or the folder for temporary files cannot be written.
    """
    before = _state(order)
    job, unreadable = read_job(order, origin, stop)
    china = realm_of(order.service, origin) == "china"
    place = places.take(clip_key(job) if job else None)
    try:
        prepared = prepare(order, place, china=china, stop=stop)
        written = _written(prepared, order, write_to, by_content=by_content) if write_to else ()
    finally:
        if _state(order) != before:
            place.forget()
        places.leave(place)
    found = (*order_violations(order, origin, settings, has_host=has_host), *prepared.violations)
    known = {violation.field for violation in prepared.violations}
    step, refused = None, ()
    try:
        opened = ledger()
        step = opened.step(job) if job else None
        refused = refusals(order, step, prepared.price, job, opened, settings, account)
    except LedgerError as error:
        refused = (str(error),)
    return Checked(
        violations=(*found, *(violation for violation in unreadable if violation.field not in known)),
        notes=prepared.notes,
        report=prepared.report,
        price=prepared.price,
        job_key=job.key if job else None,
        is_kept=isinstance(step, Serve),
        refusals=refused,
        written=written,
    )


def _state(order: Order) -> tuple[int, int] | None:
    """Return what tells whether a clip's file was written since."""
    try:
        found = order.video.path.stat() if isinstance(order.video, VideoFile) else None
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if found else None


def _written(prepared: Prepared, order: Order, folder: Path, *, by_content: bool) -> tuple[Path, ...]:
    """Leave what would be sent in a folder; by content, what is there already is used again."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if prepared.image:
            ending = ".png" if prepared.image.startswith(b"\x89PNG") else ".jpg"
            name = blake3(prepared.image).hexdigest() if by_content else _shown(order.shown_image_name)
            written.append(folder / f"{name}{ending}")
            _put(written[-1], lambda part: part.write_bytes(prepared.image), by_content=by_content)
        if (clip := prepared.clip) is not None:
            if by_content and isinstance(order.video, VideoFile) and clip.path == order.video.path:
                return (*written, clip.path)
            name = clip.digest if by_content else _shown(order.shown_video_name)
            written.append(folder / f"{name}{clip.path.suffix or '.mp4'}")
            _put(written[-1], lambda part: shutil.copyfile(clip.path, part), by_content=by_content)
    except OSError as error:
        raise DiskFull(f"{folder} cannot be written: {error.strerror}.") from None
    return tuple(written)


def _shown(name: str) -> str:
    return f"{safe_name(name, 40)}_sent"


def _put(path: Path, write: Callable[[Path], object], *, by_content: bool) -> None:
    """Write a file that appears whole."""
    if by_content and path.exists():
        return
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    try:
        write(Path(part))
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


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
        return (SERVICES_OFF,)
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
