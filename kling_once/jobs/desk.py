"""Bring one job from order to kept file. Runs on the engine's loop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import (
    Busy,
    HostingError,
    KlingOnceError,
    LeaseLost,
    LedgerError,
    ResultGone,
    TaskFailed,
)
from ..ledger.attempts import Attempt, AttemptState
from ..ledger.decision import (
    CarryOn,
    Open,
    Refuse,
    Serve,
    Step,
    gone,
)
from ..ledger.leases import renewed
from ..order import Service, services_off
from .collect import collect, failure, wait
from .columns import place_columns
from .forget import show_again
from .outcome import Outcome
from .pictures import keep_picture
from .preparation import Preparation
from .progress import Progress, Stage
from .remember import remember_result, remember_tasks
from .settle import settle
from .submit import submit
from .tidying import Tidying
from .work import NobodyWaits, Work
from .work_places import WorkPlaces, clip_key

if TYPE_CHECKING:
    from ..accounts.accounts import Account, Accounts
    from ..clock import Clock
    from ..ledger.job import Job, JobLabel
    from ..ledger.ledger import Ledger
    from ..settings import Settings
    from .connections import Connections
    from .flight import Flight
    from .hints import Hints
    from .media_threads import MediaThreads
    from .prepare import Prepared
    from .results import ResultStore

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
STEPS_AT_KLING = {
    AttemptState.INTENT: submit,
    AttemptState.UNKNOWN: settle,
    AttemptState.SUBMITTED: wait,
}
VIDEO_EXISTED = frozenset({AttemptState.SUCCEEDED, AttemptState.KEPT, AttemptState.EXPIRED})


@dataclass
class Desk:
    """What every job's way needs, shared by all of them."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    store: ResultStore
    accounts: Accounts
    connections: Connections
    media: MediaThreads
    places: WorkPlaces
    _slots: asyncio.Semaphore = field(init=False)
    _tidying: Tidying = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.max_parallel)
        self._tidying = Tidying(self.ledger.database, self.connections, self.clock)

    async def fulfil(self, job: Job, flight: Flight) -> Outcome:
        """Return the job's video: the kept one, the one under way, or a new one.

        Raises:
            KlingOnceError: as `carry`, or before anything was submitted.
        """
        place = await asyncio.to_thread(self.places.take, clip_key(job))
        try:
            preparation: Preparation | None = Preparation(
                job,
                flight,
                place,
                self.settings,
                self.connections,
                self.store,
                self.ledger,
                self.media,
            )
            label = job.label
            del job  # its frames are large: the preparation lets go of them
            attempt = await self._begin(flight, preparation)
            await asyncio.to_thread(keep_picture, preparation.job, self.settings.home)
            await asyncio.to_thread(show_again, self.ledger.database, label.key)
            if attempt.task_id is not None:
                preparation = None  # nothing is sent any more
            try:
                posted, attempt = await self.carry(attempt, label, flight, preparation)
            finally:
                await self.tidy(label.service)
            prepared = preparation.prepared if posted and preparation else None
            return self.outcome(label, attempt, reused=not posted, prepared=prepared)
        finally:
            await asyncio.shield(asyncio.to_thread(self.places.leave, place))

    async def carry(
        self, attempt: Attempt, label: JobLabel, flight: Flight, preparation: Preparation | None = None
    ) -> tuple[bool, Attempt]:
        """Bring an attempt to its kept file; tell also whether a create was sent for it here.

        Raises:
            TaskFailed, ResultGone: it ended without one.
            KlingOnceError: it has not ended; queueing again goes on with it.
        """
        posted = False
        while not attempt.has_ended:
            claimed = await asyncio.to_thread(self.ledger.claim, attempt)
            if claimed is None:
                text = "another process works on it"
                flight.tell(Progress(Stage.WAIT, text, label.key, attempt.task_id))
                await self.clock.sleep(min(WATCH_SECONDS, self.settings.poll_seconds))
                attempt = await asyncio.to_thread(self.ledger.attempt, attempt.attempt_id)
                continue
            work: Work | None = None
            try:
                async with renewed(partial(self.ledger.renew, claimed), self.clock):
                    work = await self._work(claimed, label, flight, preparation)
                    await self._walk(work)
                posted, attempt = posted or work.posted, work.attempt
            except LeaseLost:
                attempt = await asyncio.to_thread(self.ledger.attempt, attempt.attempt_id)
            except KlingOnceError as error:
                error.task_id = error.task_id or (work.attempt if work else claimed).task_id
                raise
            finally:
                await asyncio.shield(self._release(claimed))
        if attempt.state is AttemptState.KEPT:
            return posted, attempt
        raise _ended_without(attempt)

    async def _release(self, attempt: Attempt) -> None:
        """Give a lease up; where that cannot be written it runs out, and what happened before counts."""
        try:
            await asyncio.to_thread(self.ledger.release, attempt)
        except LedgerError as error:
            logger.warning("A lease could not be given up: %s", error.message)

    def outcome(
        self, label: JobLabel, attempt: Attempt, *, reused: bool, prepared: Prepared | None = None
    ) -> Outcome:
        """Return what is handed over for a kept attempt."""
        return Outcome(
            label=label,
            attempt=attempt,
            path=self.store.path(attempt.result_path or ""),
            reused=reused,
            did=prepared.report if prepared else (),
            notes=prepared.notes if prepared else (),
        )

    async def _begin(self, flight: Flight, preparation: Preparation) -> Attempt:
        """Return the attempt that the order is about; a new one is in the ledger and leased to us."""
        job = preparation.job
        step = await asyncio.to_thread(self.ledger.step, job)
        if not isinstance(step, Serve) and await remember_result(job, self.store, self.ledger):
            step = await asyncio.to_thread(self.ledger.step, job)
        if job.order.kept_only:
            return await self._kept(step)
        if isinstance(step, Open):
            await self._remember_tasks(job, flight, preparation)
            step = await asyncio.to_thread(self.ledger.step, job)
        if isinstance(step, Refuse):
            raise step.error
        if isinstance(step, (Serve, CarryOn)):
            return await self.served(step.attempt)
        reservation = await preparation.reservation()
        account = await self._account(job)
        return await asyncio.to_thread(self.ledger.begin, job, account.sender, reservation)

    async def _kept(self, step: Step) -> Attempt:
        """Return a job's kept attempt without asking anybody outside."""
        if isinstance(step, (Serve, CarryOn)):
            found = await asyncio.to_thread(self._found, step.attempt)
            if found is not None:
                return found
        raise services_off()

    async def served(self, attempt: Attempt) -> Attempt:
        """Return an attempt as kept where its file is here, or ready to be fetched again where it is gone."""
        found = await asyncio.to_thread(self._found, attempt)
        if found is not None or attempt.state is not AttemptState.KEPT:
            return found or attempt
        await asyncio.to_thread(self.ledger.reopen_collection, attempt)
        return await asyncio.to_thread(self.ledger.attempt, attempt.attempt_id)

    def _found(self, attempt: Attempt) -> Attempt | None:
        """Return an attempt as kept if its file is here, also where it was moved or put back; blocking."""
        if attempt.state not in VIDEO_EXISTED:
            return None
        columns: dict[str, Any] = {"state": AttemptState.KEPT}
        if not self.store.has(attempt.result_path, attempt.result_size_bytes):
            found = self.store.find_kept(attempt.job_key, attempt.task_id)
            if found is None:
                return None
            columns = place_columns(found[0])
        elif attempt.state is AttemptState.KEPT:
            return attempt
        try:
            return self.ledger.keep_again(attempt, columns)
        except LedgerError as error:
            logger.warning(
                "Task %s is here; the ledger could not note it: %s", attempt.task_id, error.message
            )
            return replace(attempt, **columns)

    async def _remember_tasks(self, job: Job, flight: Flight, preparation: Preparation) -> None:
        """Find what a lost ledger forgot; inputs that break a limit are refused before anybody is asked."""
        await preparation.reservation()
        account = await self._account(job)
        client = await self.connections.client(account)
        pause = self.settings.pace(client.origin).poll_seconds
        while flight.wanted:
            try:
                await remember_tasks(job, account, client, self.ledger, self.clock, pause_seconds=pause)
            except Busy as error:
                text = f"the account is full ({error.code}); waiting to ask for the job's tasks"
                flight.tell(Progress(Stage.QUEUE, text, job.key))
                await self.clock.sleep(pause)
            else:
                return
        raise NobodyWaits("Nothing was submitted: nobody waits for this video any more.")

    async def _hints(self, service: Service) -> Hints | None:
        """Return where callbacks are heard; a gateway that cannot run must not keep a paid result away."""
        try:
            return await self.connections.gateway(service)
        except HostingError as error:
            logger.info("Callbacks are not heard: %s", error.message)
            return None

    async def tidy(self, service: Service) -> None:
        """Remove reference videos that nobody needs any more from the host that this process uses."""
        if service is Service.KLING:
            await self._tidying.tidy()

    async def _account(self, job: Job) -> Account:
        return await asyncio.to_thread(self.accounts.account, job.order.service, job.order.profile)

    async def _walk(self, work: Work) -> None:
        if work.attempt.state in STEPS_AT_KLING:
            work.say(Stage.QUEUE, "waiting for one of this server's places")
            async with self._slots:
                while (step := STEPS_AT_KLING.get(work.attempt.state)) is not None:
                    await step(work)
        if work.attempt.state is AttemptState.SUCCEEDED:
            await collect(work)

    async def _work(
        self, attempt: Attempt, label: JobLabel, flight: Flight, preparation: Preparation | None
    ) -> Work:
        if preparation and attempt.state is AttemptState.INTENT and attempt.units_reserved is None:
            reservation, job = await preparation.reservation(), preparation.job
            sender = (await self._account(job)).sender
            attempt = await asyncio.to_thread(self.ledger.reserve, attempt, job, sender, reservation)
        account = await asyncio.to_thread(self.accounts.account_of, attempt)
        client = await self.connections.client(account)
        return Work(
            attempt=attempt,
            label=label,
            ledger=self.ledger,
            client=client,
            store=self.store,
            settings=self.settings,
            pace=self.settings.pace(client.origin),
            clock=self.clock,
            line=self.connections.line(account),
            tell=flight.tell,
            wanted=lambda: flight.wanted,
            sending=preparation.sending if preparation else None,
            hints=await self._hints(label.service),
        )


def _ended_without(attempt: Attempt) -> TaskFailed | ResultGone:
    return gone(attempt) if attempt.state is AttemptState.EXPIRED else failure(attempt)
