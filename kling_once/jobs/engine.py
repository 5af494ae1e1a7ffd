"""The one place where work goes on: a background thread with its own event loop.

A prompt, a web request or a terminal may go away at any time; what was begun for it here does not.
Callers get futures and may let go of them: before a create that calls the work off, after it the work
goes on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..accounts.accounts import Accounts
from ..clock import SystemClock
from ..errors import (
    InputChanged,
    InputRefused,
    MediaStopped,
    SpendingRefused,
    UnknownProfile,
)
from ..hosting.choice import no_place_error
from ..ledger.decision import Serve
from ..ledger.ledger import Ledger
from ..order import USUAL_WAIT_MINUTES
from .accepted import until_accepted
from .adopting import Wanted, wanted_attempt
from .background_loop import BackgroundLoop
from .check import Checked, check_order, with_refusals
from .connections import Connections
from .desk import Desk
from .fetching import attempt_to_collect, keep_given_file
from .flight import Flight
from .media_threads import MediaThreads
from .progress import Watchers
from .reading import read_job
from .results import ResultStore
from .task_page import TaskPage
from .uploads import clean
from .violations import order_violations
from .work import NobodyWaits
from .work_places import WorkPlaces

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from pathlib import Path
    from typing import Any

    from ..api.models import ResourcePack
    from ..clock import Clock
    from ..hosting.media_host import Leftover
    from ..ledger.attempts import Attempt
    from ..ledger.job import Job
    from ..order import Order, Service
    from ..settings import Settings
    from .outcome import Outcome
    from .progress import Progress

    Listener = Callable[[Progress], None]

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

SENDING_GRACE_SECONDS = 5.0
STOP_SECONDS = 10.0
NOTHING_SUBMITTED = (NobodyWaits, MediaStopped, InputChanged, SpendingRefused)
"""Ends of a flight that are the first order's alone; an equal order of somebody else begins anew."""


class Engine:
    """Jobs, shared by everybody in this process. Start it by using it; `close` when done."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, watchers: Watchers | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.watchers = watchers or Watchers()
        self.accounts = Accounts(settings, self.clock, lambda: asyncio.run(self._fingerprint_key()))
        self.store = ResultStore(settings.results_folder, self.clock)
        self._media = MediaThreads()
        self._places = WorkPlaces(settings.home)
        self._flights: dict[str, Flight] = {}
        self._loop = BackgroundLoop("kling-once-engine")
        self._opening = threading.Lock()
        self._ledger: Ledger | None = None
        self._desk: Desk | None = None
        self._connections: Connections | None = None

    def run(self, order: Order, listener: Listener | None = None) -> concurrent.futures.Future[Outcome]:
        """Get the video of an order, buying it at most once.

        The future raises KlingOnceError. Cancelling it lets go: a task that exists goes on.
        """
        return self._loop.call(self._run(order, listener))

    def submit(self, order: Order, listener: Listener | None = None) -> concurrent.futures.Future[Attempt]:
        """Order a video and wait only until its task exists; the rest goes on, for whoever collects it."""
        return self._loop.call(self._submit(order, listener))

    def fetch(self, wanted: Wanted, listener: Listener | None = None) -> concurrent.futures.Future[Outcome]:
        """Get the video of a task of the account, whoever made it; pays nothing."""
        return self._loop.call(self._fetch(wanted, listener))

    def collect(
        self, name: str, listener: Listener | None = None, *, wait_minutes: float = USUAL_WAIT_MINUTES
    ) -> concurrent.futures.Future[Outcome]:
        """Get the video of an attempt that exists, by job key, task id or external id; pays nothing."""
        return self._loop.call(self._collect(name, listener, wait_minutes))

    def check(
        self, order: Order, write_to: Path | None = None, *, by_content: bool = False
    ) -> concurrent.futures.Future[Checked]:
        """Find everything wrong with an order, and what it would cost; spends nothing, sends nothing.

        What would be sent is left in the folder `write_to`, if one is given; with `by_content` under names
        that tell its content, each once, and a clip that is sent as it is stays where it is.
        """
        return self._loop.call(self._check(order, write_to, by_content=by_content))

    def list_tasks(
        self, service: Service, profile: str, page: int, page_size: int
    ) -> concurrent.futures.Future[TaskPage]:
        """Return a page of the account's tasks; where `account_browse` is `own`, only the ledger's."""
        return self._loop.call(self._list(service, profile, page, page_size))

    def packs(
        self, service: Service, profile: str, span: timedelta
    ) -> concurrent.futures.Future[tuple[ResourcePack, ...]]:
        """Return the account's prepaid packs: a free look that proves the key."""
        return self._loop.call(self._packs(service, profile, span))

    def clean_store(self, older_than: timedelta) -> concurrent.futures.Future[tuple[int, int]]:
        """Remove our own reference videos from the configured host and return how many went and are left.

        Those go that are older than `older_than` and that no unfinished attempt needs.
        """
        return self._loop.call(self._clean_store(older_than))

    def leftovers(self) -> concurrent.futures.Future[tuple[str, list[Leftover]]]:
        """Return the configured host's kind and what it holds of ours."""
        return self._loop.call(self._leftovers())

    def keep_file(self, name: str, path: Path) -> concurrent.futures.Future[Outcome]:
        """Keep a file that the user fetched as the result of an attempt whose task succeeded."""
        return self._loop.call(self._keep_file(name, path))

    def use(self, settings: Settings) -> None:
        """Work under other spending limits from here on; jobs under way keep theirs."""
        self.settings = settings
        if self._desk is not None:
            self._desk.settings = settings

    def under_way(self) -> dict[str, Progress]:
        """Return where the jobs stand that this process works on, by job key."""
        return {key: flight.progress for key, flight in self._flights.copy().items()}

    def ask(self, question: Coroutine[Any, Any, Answer]) -> concurrent.futures.Future[Answer]:
        """Run a coroutine on the background loop, for callers that have no event loop."""
        return self._loop.call(question)

    async def ledger(self) -> Ledger:
        """Return the ledger, opening it on first use; for callers on any event loop.

        Raises:
            LedgerError: it cannot be opened.
        """
        return self._ledger or await asyncio.to_thread(self._open_ledger)

    def _open_ledger(self) -> Ledger:
        with self._opening:
            if self._ledger is None:
                self._ledger = Ledger(self.settings.home, self.clock)
            return self._ledger

    def close(self) -> None:
        """Let go of everything. A create on the wire gets a few seconds to be answered."""
        self._loop.stop(self._wind_down, STOP_SECONDS + SENDING_GRACE_SECONDS)
        self._media.close()
        self._places.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    async def _run(self, order: Order, listener: Listener | None) -> Outcome:
        job = await self._read(order)
        desk = await self._open_desk()
        if order.graph is not None:
            await desk.ledger.remember_graph(job.key, order.graph)
        return await self._fly(job.key, lambda flight: desk.fulfil(job, flight), order.wait_minutes, listener)

    async def _collect(self, name: str, listener: Listener | None, wait_minutes: float) -> Outcome:
        desk = await self._open_desk()
        return await self._carry(await attempt_to_collect(desk, name), listener, wait_minutes)

    async def _fetch(self, wanted: Wanted, listener: Listener | None) -> Outcome:
        desk = await self._open_desk()
        return await self._carry(await wanted_attempt(desk, wanted), listener, USUAL_WAIT_MINUTES)

    async def _submit(self, order: Order, listener: Listener | None) -> Attempt:
        key = await until_accepted(lambda hear: self._run(order, hear), listener)
        return (await (await self.ledger()).attempts_of(key))[-1]

    async def _carry(self, attempt: Attempt, listener: Listener | None, wait_minutes: float) -> Outcome:
        desk = await self._open_desk()
        label = await desk.ledger.label(attempt.job_key)

        async def work(flight: Flight) -> Outcome:
            current = await desk.served(attempt)
            try:
                _posted, ended = await desk.carry(current, label, flight)
            finally:
                await desk.tidy(label.service)
            return desk.outcome(label, ended, reused=True)

        return await self._fly(attempt.job_key, work, wait_minutes, listener)

    async def _fly(
        self,
        key: str,
        work: Callable[[Flight], Coroutine[Any, Any, Outcome]],
        wait_minutes: float,
        listener: Listener | None,
    ) -> Outcome:
        while flight := self._flights.get(key):
            try:
                return (await flight.wait(wait_minutes, listener)).joined()
            except NOTHING_SUBMITTED:
                await asyncio.sleep(0)  # the others let go, or may not spend: it is ours to begin
        flight = self._flights[key] = Flight(key, self.clock, self.watchers.hear)
        flight.start(work(flight), lambda: self._landed(key))
        return await flight.wait(wait_minutes, listener)

    def _landed(self, key: str) -> None:
        self._flights.pop(key, None)
        self.watchers.ended(key)

    async def _fingerprint_key(self) -> bytes:
        return await (await self.ledger()).fingerprint_key()

    async def _read(self, order: Order) -> Job:
        try:
            origin = await asyncio.to_thread(self.accounts.origin, order.service, order.profile)
        except UnknownProfile as error:
            return await self._read_kept(order, error)
        job, unreadable = await self._media.run(read_job, order, origin)
        settings_only = order_violations(order, origin, self.settings, has_host=True)
        if job is None or settings_only:
            checked = await self._check(order)
            raise InputRefused(list(checked.violations or unreadable))
        return job

    async def _read_kept(self, order: Order, error: UnknownProfile) -> Job:
        """Return the job of a profile that is gone, if its video is kept; that is served without a key."""
        ledger = await self.ledger()
        if origin := await ledger.earlier_origin(order.profile):
            job, _unreadable = await self._media.run(read_job, order, origin)
            if job is not None and isinstance(await ledger.step(job), Serve):
                return job
        raise error

    async def _check(
        self, order: Order, write_to: Path | None = None, *, by_content: bool = False
    ) -> Checked:
        origin = await asyncio.to_thread(self.accounts.origin, order.service, order.profile)
        has_host = (await self._open_connections()).has_host(order.service)
        checked, job = await self._media.run(
            check_order,
            order,
            origin,
            self.settings,
            places=self._places,
            has_host=has_host,
            write_to=write_to,
            by_content=by_content,
        )
        account = partial(self.accounts.account, order.service, order.profile)
        return await with_refusals(checked, order, job, self.ledger, self.settings, account)

    async def _list(self, service: Service, profile: str, page: int, page_size: int) -> TaskPage:
        account = await asyncio.to_thread(self.accounts.account, service, profile)
        client = await (await self._open_connections()).client(account)
        tasks = (await client.list(page, page_size)).value
        is_last = len(tasks) < page_size
        if self.settings.account_browse == "all":
            return TaskPage(tasks, is_last)
        own = await (await self.ledger()).known_tasks([task.task_id for task in tasks])
        return TaskPage(tuple(task for task in tasks if task.task_id in own), is_last)

    async def _packs(self, service: Service, profile: str, span: timedelta) -> tuple[ResourcePack, ...]:
        account = await asyncio.to_thread(self.accounts.account, service, profile)
        client = await (await self._open_connections()).client(account)
        now = self.clock.now()
        return (await client.costs(now - span, now)).value

    async def _clean_store(self, older_than: timedelta) -> tuple[int, int]:
        host = await (await self._open_connections()).public_host()
        if host is None:
            raise no_place_error()
        return await clean(await self.ledger(), host, self.clock.now() - older_than)

    async def _leftovers(self) -> tuple[str, list[Leftover]]:
        host = await (await self._open_connections()).public_host()
        if host is None:
            raise no_place_error()
        return host.kind, await host.leftovers()

    async def _keep_file(self, name: str, path: Path) -> Outcome:
        desk = await self._open_desk()
        attempt = await attempt_to_collect(desk, name)
        label = await desk.ledger.label(attempt.job_key)
        return desk.outcome(label, await keep_given_file(desk, attempt, label, path), reused=True)

    async def _open_connections(self) -> Connections:
        if self._connections is None:
            self._connections = Connections(self.settings, self.clock)
        return self._connections

    async def _open_desk(self) -> Desk:
        if self._desk is None:
            ledger = await self.ledger()
            connections = await self._open_connections()
            self._desk = self._desk or Desk(
                self.settings,
                self.clock,
                ledger,
                self.store,
                self.accounts,
                connections,
                self._media,
                self._places,
            )
        return self._desk

    async def _wind_down(self) -> None:
        deadline = self.clock.monotonic() + SENDING_GRACE_SECONDS
        while any(flight.is_sending for flight in self._flights.values()):
            if self.clock.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        if self._connections is not None:
            await self._connections.close()
            self._connections = None
        self._desk = None
