"""Say everything about an order before it is placed: what is wrong, what it costs, whether it is paid."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiskFull, LedgerError, Violation
from .check import order_violations
from .job import realm_of
from .next_step import Serve
from .prepare import Prepared, prepare
from .reading import read_job
from .store import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.prices import Price
    from ..media.types import Stop
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
    written: tuple[Path, ...] = ()
    """The picture and the clip as they would be sent, when a folder was given."""

    @property
    def ok(self) -> bool:
        """Tell whether the order would be sent."""
        return not self.violations


def check_order(
    order: Order,
    origin: str,
    settings: Settings,
    ledger: Callable[[], Ledger],
    *,
    has_host: bool,
    write_to: Path | None = None,
    stop: Stop | None = None,
) -> Checked:
    """Check an order; blocking. Nothing is sent, and nothing is written but temporary files.

    Raises:
        MediaStopped: `stop` said so.
        DiskFull: `write_to` or the folder for temporary files cannot be written.
    """
    job, unreadable = read_job(order, origin, stop)
    china = realm_of(order.service, origin) == "china"
    with tempfile.TemporaryDirectory(prefix="kling-direct-", ignore_cleanup_errors=True) as folder:
        prepared = prepare(order, Path(folder), china=china, stop=stop)
        written = _written(prepared, order, write_to) if write_to else ()
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
        written=written,
    )


def _written(prepared: Prepared, order: Order, folder: Path) -> tuple[Path, ...]:
    """Copy what would be sent into a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        if prepared.image:
            ending = ".png" if prepared.image.startswith(b"\x89PNG") else ".jpg"
            written.append(folder / f"{safe_name(order.shown_image_name, 40)}_sent{ending}")
            written[-1].write_bytes(prepared.image)
        if prepared.clip is not None:
            ending = prepared.clip.path.suffix or ".mp4"
            written.append(folder / f"{safe_name(order.shown_video_name, 40)}_sent{ending}")
            shutil.copyfile(prepared.clip.path, written[-1])
    except OSError as error:
        raise DiskFull(f"{folder} cannot be written: {error.strerror}.") from None
    return tuple(written)
