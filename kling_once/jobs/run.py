"""One job under way in this process: who waits for it, its attempt and lease, its cancel scope, its progress.

A `Run` is what every step is given: what a step needs is on the run or on its services.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from ..concurrency import first_of
from ..errors import (
    ApiError,
    JobError,
    LedgerDamaged,
    LedgerNotWritable,
    ResultGone,
    StillRunning,
)
from ..ledger.attempts import AttemptState
from ..ledger.leases import HeldLease
from ..order import Service
from .outcome import Outcome
from .progress import Progress, Stage
from .tasks import asked_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..accounts.accounts import Account
    from ..api.client import KlingClient
    from ..api.models import Task
    from ..ledger.attempts import Attempt
    from ..ledger.job import JobLabel
    from ..settings import Pace
    from .element_staging import AnyStaged
    from .services import Services

    Listener = Callable[[Progress], None]

logger = logging.getLogger(__name__)


class NobodyWaits(JobError):
    """Everybody who wanted the video let go before anything was bought."""


class Run:
    """A job that this process works on, shared by everybody who orders it meanwhile (single flight).

    Attributes:
        staged: the inputs; None where only a task that exists is collected.
        attempt: the attempt that the job is at; `is_held_elsewhere` while another process has its lease.
        lease: this process's, of the attempt.
        graph: what the order came from; None where it is not at hand.
        posted: this process sent a create that was not refused.
        location: where the reference video lies at its media host.
    """

    def __init__(
        self,
        services: Services,
        label: JobLabel,
        staged: AnyStaged | None = None,
        attempt: Attempt | None = None,
    ) -> None:
        self.services = services
        self.label = label
        self.staged = staged
        self.graph = staged.order.graph if staged else None
        self.progress = Progress(Stage.CHECK, "checking", label.key)
        self.scope = anyio.CancelScope()
        self.done = asyncio.Event()
        self.accepted = asyncio.Event()
        self.is_held_elsewhere = False
        self.lease = HeldLease(services.clock)
        self.not_sending = asyncio.Event()
        self.not_sending.set()
        self.posted = False
        self.location: str | None = None
        self._attempt = attempt
        self._account: Account | None = None
        self._client: KlingClient | None = None
        self._waiting = 0
        self._listeners: list[Listener] = [services.watchers.hear]
        self._accepted_at = 0.0
        self._result: Outcome | BaseException | None = None
        self._unwritten: dict[str, Any] = {}

    @property
    def attempt(self) -> Attempt:
        """Return the attempt that the job is at."""
        if self._attempt is None:
            raise RuntimeError("the run has no attempt yet")
        return self._attempt

    @attempt.setter
    def attempt(self, attempt: Attempt) -> None:
        if self._attempt is not None and self._attempt.state is not attempt.state:
            self.services.tell_moved()
        self._attempt = attempt
        if attempt.task_id is not None and not self.accepted.is_set():
            self._accepted_at = self.services.clock.monotonic()
            self.accepted.set()
        self.end_if_unwanted()

    @property
    def account(self) -> Account:
        """Return the account that the attempt was made with."""
        if self._account is None:
            raise RuntimeError("the run has no account yet")
        return self._account

    @property
    def client(self) -> KlingClient:
        """Return the API client of the account."""
        if self._client is None:
            raise RuntimeError("the run has no client yet")
        return self._client

    @property
    def pace(self) -> Pace:
        """Return how fast the account's origin is asked."""
        return self.services.settings.pace(self.client.origin)

    @property
    def task_id(self) -> str:
        """Return the vendor's name for the attempt's task.

        Raises:
            ResultGone: it has none.
        """
        if self.attempt.task_id is None:
            raise ResultGone(f"Attempt {self.attempt.external_id} has no task.", hint="Run the job again.")
        return self.attempt.task_id

    @property
    def service_name(self) -> str:
        """Return what to call the service in a sentence."""
        return "The sandbox" if self.label.service is Service.SANDBOX else "Kling"

    async def leave(self) -> None:
        """Let go of the staged inputs: nothing is sent from here on."""
        staged, self.staged = self.staged, None
        if staged is not None:
            await staged.leave()

    async def connect(self, account: Account) -> None:
        """Use this account and its client from here on."""
        self._account = account
        self._client = await self.services.client(account, self.label.kind)

    # --- who waits ---

    @property
    def is_wanted(self) -> bool:
        """Tell whether somebody waits."""
        return self._waiting > 0

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Mark a create as on the wire, from before it is written down until its answer is.

        No cancellation reaches what runs in the block.
        """
        self.not_sending.clear()
        try:
            with anyio.CancelScope(shield=True):
                yield
        finally:
            self.not_sending.set()
            self.end_if_unwanted()

    @property
    def is_unsent(self) -> bool:
        """Tell whether no create was ever sent that could have made the attempt's task."""
        return self._attempt is None or not self._attempt.posts

    @property
    def may_be_abandoned(self) -> bool:
        """Tell whether nothing is lost when the run ends now: no create is on the wire, no task is ours."""
        if not self.not_sending.is_set():
            return False
        attempt = self._attempt
        if attempt is None or self.is_held_elsewhere:
            return True
        return attempt.state is AttemptState.INTENT and attempt.posted_at is None

    def end_if_unwanted(self) -> None:
        """Cancel the run when nobody waits for it and nothing is lost; called when either may change."""
        if not self.is_wanted and self.may_be_abandoned and not self.done.is_set():
            self.scope.cancel()

    @contextmanager
    def waiting(self, listener: Listener | None) -> Iterator[None]:
        """Count as somebody who wants the outcome; whoever is the last to let go cancels an idle run."""
        self._waiting += 1
        if listener:
            self._listeners.append(listener)
            self._tell(listener, self.progress)
        try:
            yield
        finally:
            self._waiting -= 1
            if listener:
                self._listeners.remove(listener)
            self.end_if_unwanted()

    async def outcome(self, wait_minutes: float, listener: Listener | None) -> Outcome:
        """Wait for the outcome; the minutes count from the vendor's acceptance.

        Raises:
            StillRunning: the minutes are over; the task goes on.
            KlingOnceError: why there is no video.
        """
        clock = self.services.clock
        began = clock.monotonic()
        with self.waiting(listener):
            await first_of(self.done.wait(), self.accepted.wait())
            if not self.done.is_set():
                left = max(began, self._accepted_at) + wait_minutes * 60 - clock.monotonic()
                await first_of(self.done.wait(), clock.sleep(max(left, 0)))
                if not self.done.is_set():
                    raise self._still_running(wait_minutes)
        return self._ended()

    async def acceptance(self, listener: Listener | None) -> Attempt:
        """Wait until the vendor has the job's task, or the run ends; the rest goes on by itself.

        Raises:
            KlingOnceError: it ended before.
        """
        with self.waiting(listener):
            await first_of(self.done.wait(), self.accepted.wait())
        return self.attempt if self.accepted.is_set() else self._ended().attempt

    def end(self, result: Outcome | BaseException) -> None:
        """Hand the outcome, or why there is none, to everybody who waits."""
        self._result = result
        self.done.set()
        if isinstance(result, Exception) and not self.is_wanted:
            logger.info("Job %s ended while nobody waited: %s", self.label.short_key, result)

    def require_wanted(self) -> None:
        """Pass while somebody waits for the video.

        Raises:
            NobodyWaits: nothing was sent, and nothing is.
        """
        if not self.is_wanted:
            raise NobodyWaits("Nothing was submitted: nobody waits for this video any more.")

    def say(self, stage: Stage, text: str, *, done: int = 0, total: int = 0) -> None:
        """Tell those who wait."""
        task_id = self._attempt.task_id if self._attempt else None
        self.progress = Progress(stage, text, self.label.key, task_id, done, total)
        for listener in self._listeners.copy():
            self._tell(listener, self.progress)

    def _tell(self, listener: Listener, progress: Progress) -> None:
        """Tell one; a display that fails must not end what others wait for, and what may be paid."""
        try:
            listener(progress)
        except Exception as error:  # noqa: BLE001 - foreign code at an edge
            logger.warning("What shows the progress of a job failed: %r", error)

    def _ended(self) -> Outcome:
        if isinstance(self._result, Outcome):
            return self._result
        raise self._result or NobodyWaits("Nothing was submitted.")

    def _still_running(self, wait_minutes: float) -> StillRunning:
        return StillRunning(
            f"The task is not done after {wait_minutes:g} minutes ({self.progress.text});"
            " it goes on at Kling.",
            hint="Run the same again to pick it up: that costs nothing.",
            task_id=self.progress.task_id,
        )

    # --- what is written down ---

    async def change(self, **changes: Any) -> None:
        """Write changes of the attempt to the ledger; raises LeaseLost when another process took over."""
        self.attempt = await self.services.ledger.change(self.attempt, **changes)

    async def note(self, **changes: Any) -> None:
        """Write down what became of a task that is paid; it holds here also where it cannot be written.

        It is written with the next note, or the next run finds it out again, free.

        Raises:
            LeaseLost: another process has taken over.
        """
        level = logging.DEBUG if self._unwritten else logging.WARNING
        self._unwritten |= changes
        try:
            await self.change(**self._unwritten)
        except (LedgerNotWritable, LedgerDamaged) as error:
            logger.log(level, "The ledger could not note task %s: %s", self.attempt.task_id, error.message)
            self.attempt = replace(self.attempt, **changes)
        else:
            self._unwritten = {}

    async def adopt(self, task: Task) -> None:
        """Write down that the vendor has this attempt's task; one sent from here counts for the limits."""
        reserved = self.attempt.units_reserved
        if reserved is None and self.attempt.posts:
            reserved = self.attempt.units_estimated
        await self.change(
            units_reserved=reserved,
            state=AttemptState.SUBMITTED,
            task_id=asked_as(task, self.attempt.external_id),
            task_status=task.task_status,
            submitted_at=self.services.clock.now(),
            vendor_created_at=task.created_at,
            unknown_since=None,
            reason=None,
            reason_code=None,
        )
        logger.info(
            "Task %s is attempt %d of job %s.", task.task_id, self.attempt.number, self.label.short_key
        )

    async def reject(self, error: ApiError) -> None:
        """Write down that the vendor refused and made no task."""
        await self.change(
            state=AttemptState.REJECTED,
            reason=error.message,
            reason_code=error.code,
            ended_at=self.services.clock.now(),
            units_reserved=None,
        )
