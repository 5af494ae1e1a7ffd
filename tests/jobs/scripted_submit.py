"""An attempt that is about to be sent, over scripted services."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kling_once.errors import Busy
from kling_once.hosting.media_host import HostedFile
from kling_once.jobs.element_staging import StagedElement
from kling_once.jobs.staging import StagedInputs
from kling_once.jobs.submit import submit
from kling_once.ledger.attempts import AttemptState
from kling_once.order import ElementOrder, Order, Service, VideoFile, VideoUrl
from tests.jobs.scripted_run import (
    ORIGIN,
    ScriptedServices,
    attempt_in,
    run_of,
)

URL = "https://clips.example.com/walk.mp4"
CLIP = HostedFile(Path("walk.mp4"), "a" * 64, 1000)
FULL = Busy("Kling: 1303, parallel limit.", code=1303, http_status=429)
NO_AREA: Any = SimpleNamespace()


def staged_video(**changes: Any) -> Any:
    order = Order(
        image=Path("figure.png"), video=VideoUrl(URL), service=Service.KLING, **changes.pop("order", {})
    )
    known = {"job": SimpleNamespace(origin=ORIGIN), "is_fitted": True, "image_data": b"png"} | changes
    return StagedInputs(
        order=order,
        origin=ORIGIN,
        unreadable=(),
        original=None,
        clip=None,
        area=NO_AREA,
        **known,
    )


def staged_file(**order: Any) -> Any:
    staged = staged_video(order=order, hosted=CLIP)
    staged.order = replace(staged.order, video=VideoFile(CLIP.path))
    return staged


def staged_element(pictures: tuple[bytes, ...] = (b"front", b"side"), **changes: Any) -> Any:
    order = ElementOrder(
        "Mia", "A woman", Path("a.png"), (Path("b.png"),), service=Service.KLING, **changes.pop("order", {})
    )
    known: dict[str, Any] = {"is_fitted": True, "pictures": pictures} | changes
    job: Any = SimpleNamespace(origin=ORIGIN)
    return StagedElement(
        order=order,
        origin=ORIGIN,
        job=job,
        unreadable=(),
        clip=None,
        area=NO_AREA,
        **known,
    )


class Submit:
    """An attempt that is about to be sent, with an address as its clip unless said otherwise."""

    def __init__(self, staged: Any = None, **changes: Any) -> None:
        self.services = ScriptedServices()
        self.vendor, self.ledger, self.clock = self.services.vendor, self.services.ledger, self.services.clock
        self.staged = staged if staged is not None else staged_video()
        self._changes = changes
        self.run: Any = None

    async def open(self) -> Any:
        self.run = self.run or await run_of(
            self.services, attempt_in(AttemptState.INTENT, **self._changes), self.staged
        )
        return self.run

    async def end(self) -> Any:
        await submit(await self.open())
        return self.run.attempt

    @property
    def sent(self) -> list[Any]:
        return [call[1] for call in self.vendor.asked if call[0] == "create"]

    def changes(self) -> dict[str, Any]:
        """Return the last change of the attempt."""
        return [call for call in self.ledger.calls if call[0] == "change"][-1][1]
