"""An order while it is fulfilled: what is expensive is made once, and only when it is needed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputChanged, InputRefused
from ..ledger.budgets import Reservation, budget_of
from ..order import VideoFile, VideoFrames, VideoUrl
from .prepare import Prepared, prepare
from .progress import Progress, Stage
from .reading import require_unchanged
from .result_memory import COMING
from .sending import Sending
from .violations import order_violations

if TYPE_CHECKING:
    from decimal import Decimal

    from ..ledger.job import Job
    from ..ledger.ledger import Ledger
    from ..order import Order
    from ..settings import Settings
    from .connections import Connections
    from .flight import Flight
    from .media_threads import MediaThreads
    from .results import ResultStore
    from .work_places import WorkPlace


class Preparation:
    """What a create of this job needs, made on demand."""

    def __init__(
        self,
        job: Job,
        flight: Flight,
        place: WorkPlace,
        settings: Settings,
        connections: Connections,
        store: ResultStore,
        ledger: Ledger,
        media: MediaThreads,
    ) -> None:
        self.job = job
        self.prepared: Prepared | None = None
        self._flight = flight
        self._place = place
        self._settings = settings
        self._connections = connections
        self._store = store
        self._media = media
        self._ledger = ledger
        self._clock = ledger.clock
        self._sending: Sending | None = None

    async def reservation(self) -> Reservation:
        """Return what a new attempt would cost, once everything that can be checked holds.

        Raises:
            InputRefused: with every violation.
            InputChanged: a file is no longer the one that the job is named after.
            DiskFull, NotEnoughMemory: the result would not fit.
        """
        prepared, order = await self._prepare(), self.job.order
        if prepared.price is None:
            raise InputRefused(list(prepared.violations))
        await asyncio.to_thread(self._store.require_space, prepared.price.seconds)
        if order.decoded_items:
            await self._require_memory(order, prepared.price.seconds)
        return Reservation(
            seconds=None if isinstance(order.video, VideoUrl) else prepared.price.seconds,
            units_estimated=prepared.price.units,
            units_at_most=prepared.price.units_at_most,
            budget=budget_of(self._settings, order.service, order.max_units),
        )

    async def sending(self) -> Sending:
        """Return what forms the create.

        Raises:
            InputRefused: with every violation.
            InputChanged: a file is no longer the one that the job is named after.
        """
        if self._sending is None:
            prepared, order = await self._prepare(), self.job.order
            self._flight.tell(Progress(Stage.UPLOAD, "handing the clip over", self.job.key))
            host = gateway = None
            if prepared.clip is not None:
                host = await self._connections.host(order.service, self.job.origin)
                gateway = await self._connections.gateway(order.service)
            self._sending = Sending(
                order=order,
                prepared=prepared,
                host=host,
                ledger=self._ledger,
                clock=self._clock,
                callback_url=gateway.callback_url() if gateway else "",
            )
        return self._sending

    async def _require_memory(self, order: Order, seconds: Decimal) -> None:
        COMING.count(order.spender, self.job.key, order.motion.mode, seconds * order.decoded_items)
        if self._flight.task is not None:
            self._flight.task.add_done_callback(lambda _task: COMING.forget(order.spender, self.job.key))
        await asyncio.to_thread(COMING.require_memory, order.spender.prompt_id)

    async def _prepare(self) -> Prepared:
        if self.prepared is None:
            self._flight.tell(Progress(Stage.CONFORM, "measuring the picture and the clip", self.job.key))
            prepared = await self._media.run(
                prepare,
                self.job.order,
                self._place,
                china=self.job.realm == "china",
                stop=self._is_unwanted,
                on_progress=self._tell_frames,
            )
            try:
                await self._media.run(require_unchanged, self.job, stop=self._is_unwanted)
            except InputChanged:
                self._place.forget()
                raise
            self.prepared = prepared
            self._let_go_of_frames(prepared)
        has_host = self._connections.has_host(self.job.order.service)
        violations = [
            *order_violations(self.job.order, self.job.origin, self._settings, has_host=has_host),
            *self.prepared.violations,
        ]
        if violations:
            raise InputRefused(violations)
        return self.prepared

    def _let_go_of_frames(self, prepared: Prepared) -> None:
        """Name the file in place of the frames that lie in it: they are large, and a task takes minutes."""
        order = self.job.order
        if prepared.clip is not None and isinstance(order.video, VideoFrames):
            clip = VideoFile(prepared.clip.path)
            self.job = replace(self.job, order=replace(order, video=clip, video_name=order.shown_video_name))

    def _is_unwanted(self) -> bool:
        return not self._flight.wanted

    def _tell_frames(self, done: int, total: int) -> None:
        self._flight.tell(Progress(Stage.CONFORM, "conforming the clip", self.job.key, None, done, total))
