"""The one place where jobs go on: a background thread with its own event loop.

A prompt, a web request or a terminal may go away at any time; what was begun for it here does not. Callers
get futures and may let go of them: before a create that cancels the run, after it the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
from anyio.from_thread import start_blocking_portal

from ..accounts.accounts import Accounts
from ..clock import SystemClock
from ..concurrency import Pending
from ..errors import (
    InputRefused,
    MediaStopped,
    SpendingRefused,
    UnknownProfile,
)
from ..ledger.decision import Serve
from ..ledger.ledger import Ledger
from ..order import USUAL_WAIT_MINUTES, realm_of
from ..results.store import ResultStore
from .check import describe, obstacles, require_affordable
from .element_staging import stage_order
from .fulfil import collect_only, fulfil
from .outcome import Outcome, TaskPage
from .progress import Watchers
from .recovery import (
    Wanted,
    carry_over,
    keep_given_file,
    named_attempt,
    wanted_attempt,
)
from .run import NobodyWaits, Run
from .services import MediaThreads, Services
from .staging_area import StagingArea
from .uploads import clean
from .violations import order_violations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path
    from typing import Any

    from anyio.from_thread import BlockingPortal

    from ..api.limits import Price
    from ..api.models import Element, ResourcePack
    from ..clock import Clock
    from ..errors import KlingOnceError
    from ..hosting.media_host import Leftover, MediaHost
    from ..ledger.attempts import Attempt
    from ..order import AnyOrder, ElementOrder, Order, Service
    from ..settings import Settings
    from .check import Checked
    from .element_staging import AnyStaged
    from .outcome import MadeElement
    from .progress import Progress
    from .run import Listener

SENDING_GRACE_SECONDS = 5.0
STOP_SECONDS = 10.0

FIRST_ORDERS_ALONE = (NobodyWaits, MediaStopped, SpendingRefused)
"""Ends of a run that are the first order's alone; an equal order of somebody else begins anew."""

Value = TypeVar("Value")


def _result_store(settings: Settings, clock: Clock) -> ResultStore:
    if settings.results_url is None:
        return ResultStore(settings.results_folder, clock)
    from ..results.bucket import BucketStore  # noqa: PLC0415 - only for those who use one

    size_bytes = int(settings.cache_gb * 10**9)
    return BucketStore(settings.results_url, settings.results_folder, size_bytes, clock)


class Engine:
    """Jobs, shared by everybody in this process. Start it by using it; `close` when done."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, watchers: Watchers | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.watchers = watchers or Watchers()
        self.accounts = Accounts(settings, self.clock)
        self.store = _result_store(settings, self.clock)
        self._media = MediaThreads()
        self._staging = StagingArea(settings.home)
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: AbstractContextManager[BlockingPortal] | None = None
        self._opening = threading.Lock()
        self._ledger: Ledger | None = None
        self._services: Services | None = None
        self._is_closing = False
        self._uncollected: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        """What was done to the inputs of jobs that a submit bought here, until they are collected."""

    # --- for other threads and loops: each gives a `Pending`, which raises KlingOnceError ---

    def run(self, order: Order, listener: Listener | None = None) -> Pending[Outcome]:
        """Get the video of an order, buying it at most once.

        Cancelling the future lets go: a task that exists goes on.
        """
        given: list[AnyOrder] = [order]  # the caller's arguments are kept until the end, and frames are large
        return self.ask(self._run(given, listener))

    def create_element(self, order: ElementOrder, listener: Listener | None = None) -> Pending[MadeElement]:
        """Get the element of an order, making it at most once; as `run`."""
        given: list[AnyOrder] = [order]
        return cast("Pending[MadeElement]", self.ask(self._run(given, listener)))

    def submit(self, order: Order, listener: Listener | None = None) -> Pending[Attempt]:
        """Order a video and wait only until its task exists; the rest goes on, for whoever collects it."""
        given: list[AnyOrder] = [order]
        return self.ask(self._submit(given, listener))

    def fetch(self, wanted: Wanted, listener: Listener | None = None) -> Pending[Outcome]:
        """Get the video of a task of the account, whoever made it; pays nothing."""
        return self.ask(self._fetch(wanted, listener))

    def collect(
        self, name: str, listener: Listener | None = None, *, wait_minutes: float = USUAL_WAIT_MINUTES
    ) -> Pending[Outcome]:
        """Get the video of an attempt that exists, by job key, task id or external id; pays nothing."""
        return self.ask(self._collect(name, listener, wait_minutes))

    def check(
        self, order: Order, write_to: Path | None = None, *, by_content: bool = False
    ) -> Pending[Checked]:
        """Find everything wrong with an order, and what it would cost; spends nothing, sends nothing.

        Args:
            order: what would be run.
            write_to: a folder that gets what would be sent.
            by_content: name what is written after its content, each once; a clip that is sent as it is stays
                where the user has it.
        """
        return self.ask(self._check(order, write_to, by_content=by_content))

    def require_affordable(self, orders: list[Order]) -> Pending[None]:
        """Hold what the items of a list will cost together against the limits, before the first is sent."""
        return self.ask(self._require_affordable(orders))

    def obstacles(self, order: Order, price: Price | None) -> Pending[tuple[KlingOnceError, ...]]:
        """Find what keeps any new order from being sent, whatever its inputs: key, hold switch, limits."""
        return self.ask(self._obstacles(order, price))

    def list_tasks(self, service: Service, profile: str, page: int, page_size: int) -> Pending[TaskPage]:
        """Return a page of the account's tasks; where `account_browse` is `own`, only the ledger's."""
        return self.ask(self._list(service, profile, page, page_size))

    def list_elements(
        self, service: Service, profile: str, *, presets: bool = False, is_fresh: bool = True
    ) -> Pending[tuple[Element, ...]]:
        """Return the account's own elements, newest first, or the official ones.

        Args:
            service: `kling` or `sandbox`.
            profile: whose account is asked.
            presets: the official ones.
            is_fresh: ask the vendor; else a list that was read just now may do.
        """
        return self.ask(self._elements(service, profile, presets=presets, is_fresh=is_fresh))

    def show_element(self, service: Service, profile: str, element_id: str) -> Pending[Element]:
        """Return one of the account's own or of the official elements."""
        return self.ask(self._element(service, profile, element_id))

    def delete_element(self, service: Service, profile: str, element_id: str) -> Pending[None]:
        """Delete an element of the account; ordering it again makes it again."""
        return self.ask(self._delete_element(service, profile, element_id))

    def element_picture(self, service: Service, profile: str, element_id: str) -> Pending[Path]:
        """Return the path of an element's small picture, fetched once."""
        return self.ask(self._element_picture(service, profile, element_id))

    def packs(self, service: Service, profile: str, span: timedelta) -> Pending[tuple[ResourcePack, ...]]:
        """Return the account's prepaid packs: a free look that proves the key."""
        return self.ask(self._packs(service, profile, span))

    def clean_store(self, older_than: timedelta) -> Pending[tuple[int, int]]:
        """Remove our own reference videos from the configured host and return how many went and are left.

        Those go that are older than `older_than` and that no unfinished attempt needs.
        """
        return self.ask(self._clean_store(older_than))

    def carry_over(self, profile: str) -> Pending[int]:
        """Collect a profile's tasks with its new key, where that is of the same account; return how many."""
        return self.ask(self._carry_over(profile))

    def leftovers(self) -> Pending[tuple[str, list[Leftover]]]:
        """Return the configured host's kind and what it holds of ours."""
        return self.ask(self._leftovers())

    def keep_file(self, name: str, path: Path) -> Pending[Outcome]:
        """Keep a file that the user fetched as the result of an attempt whose task succeeded."""
        return self.ask(self._keep_file(name, path))

    def ask(self, work: Coroutine[Any, Any, Value]) -> Pending[Value]:
        """Run a coroutine on the engine's loop, for callers on any thread, also the engine's own."""
        with self._starting:
            if self._portal is None or self._loop is None:
                self._thread = start_blocking_portal("asyncio", name="kling-once-engine")
                self._portal = self._thread.__enter__()
                self._loop = self._portal.call(asyncio.get_running_loop)
            return Pending(asyncio.run_coroutine_threadsafe(work, self._loop))

    def use(self, settings: Settings) -> None:
        """Work under other spending limits from here on; jobs under way keep theirs."""
        self.settings = settings
        if self._services is not None:
            self._services.settings = settings

    def use_host(self, settings: Settings) -> Pending[MediaHost | None]:
        """Put local clips elsewhere from here on, and return where that is, opened."""
        self.settings = settings
        return self.ask(self._use_host(settings))

    def under_way(self) -> dict[str, Progress]:
        """Return where the jobs stand that this process works on, by job key."""
        return {key: run.progress for key, run in self._runs.copy().items()}

    async def ledger(self) -> Ledger:
        """Return the ledger, opened on first use; from any event loop.

        Raises:
            LedgerError: it cannot be opened.
        """
        return self._ledger or await asyncio.to_thread(self._open_ledger)

    def close(self) -> None:
        """Let go of everything. A create on the wire gets a few seconds to be answered."""
        with self._starting:
            portal, thread, self._portal, self._thread = self._portal, self._thread, None, None
        self._media.close()
        if portal is not None and thread is not None:
            with contextlib.suppress(TimeoutError):
                portal.start_task_soon(self._wind_down).result(STOP_SECONDS + SENDING_GRACE_SECONDS)
            portal.start_task_soon(portal.stop, True)
            # a call that hangs in a worker thread must not keep the process alive
            ending = threading.Thread(target=thread.__exit__, args=(None, None, None), daemon=True)
            ending.start()
            ending.join(STOP_SECONDS)
        self._staging.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    # --- on the engine's loop ---

    async def services(self) -> Services:
        """Return what all runs share, made on first use.

        Raises:
            LedgerError: the ledger cannot be opened.
        """
        ledger = await self.ledger()
        if self._services is None:
            self._services = Services(
                self.settings, ledger, self.store, self.accounts, self._media, self.watchers
            )
        return self._services

    async def _use_host(self, settings: Settings) -> MediaHost | None:
        return await (await self.services()).use_host(settings)

    async def _run(self, given: list[AnyOrder], listener: Listener | None) -> Outcome:
        wait_minutes = given[0].wait_minutes
        run = await self._staged_run(given.pop())
        return await self._share(run, fulfil, lambda shared: shared.outcome(wait_minutes, listener))

    async def _submit(self, given: list[AnyOrder], listener: Listener | None) -> Attempt:
        async def accepted(shared: Run) -> Attempt:
            attempt = await shared.acceptance(listener)
            if shared.posted and shared.staged is not None:
                self._uncollected[attempt.job_key] = (shared.staged.report, shared.staged.notes)
            return attempt

        return await self._share(await self._staged_run(given.pop()), fulfil, accepted)

    async def _collect(self, name: str, listener: Listener | None, wait_minutes: float) -> Outcome:
        services = await self.services()
        outcome = await self._carry(await named_attempt(services, name), listener, wait_minutes)
        bought = self._uncollected.pop(outcome.label.key, None)
        return outcome if bought is None else replace(outcome, reused=False, did=bought[0], notes=bought[1])

    async def _fetch(self, wanted: Wanted, listener: Listener | None) -> Outcome:
        services = await self.services()
        return await self._carry(await wanted_attempt(services, wanted), listener, USUAL_WAIT_MINUTES)

    async def _carry(self, attempt: Attempt, listener: Listener | None, wait_minutes: float) -> Outcome:
        services = await self.services()
        run = Run(services, await services.ledger.label(attempt.job_key), attempt=attempt)
        return await self._share(run, collect_only, lambda shared: shared.outcome(wait_minutes, listener))

    async def _share(
        self,
        run: Run,
        work: Callable[[Run], Awaitable[Outcome]],
        wait: Callable[[Run], Awaitable[Value]],
    ) -> Value:
        """Wait for the run of a job that is under way, or begin this one (single flight by job key)."""
        key = run.label.key
        try:
            while other := self._runs.get(key):
                if other.scope.cancel_called:
                    await other.done.wait()
                    continue
                try:
                    value = await wait(other)
                except FIRST_ORDERS_ALONE:
                    await other.done.wait()
                else:
                    return cast("Value", value.joined()) if isinstance(value, Outcome) else value
            self._runs[key] = run
        finally:
            if self._runs.get(key) is not run:
                await run.leave()
        task = asyncio.create_task(self._go(run, work), name=f"kling-once {key[:10]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await wait(run)

    async def _go(self, run: Run, work: Callable[[Run], Awaitable[Outcome]]) -> None:
        result: Outcome | BaseException = NobodyWaits(
            "Nothing was submitted: nobody waits for this video any more."
        )
        try:
            with run.scope:
                result = await work(run)
        except Exception as error:  # noqa: BLE001 - raised where the outcome is waited for
            result = error
        finally:
            if self._is_closing:
                result = asyncio.CancelledError()
            self._runs.pop(run.label.key, None)
            run.end(result)
            self.watchers.ended(run.label.key)

    async def _staged_run(self, order: AnyOrder) -> Run:
        """Return a run of an order whose inputs are staged.

        Raises:
            InputRefused: an input cannot be read or a setting is wrong, with everything else that is.
        """
        services = await self.services()
        try:
            origin = await asyncio.to_thread(self.accounts.origin, order.service, order.profile)
        except UnknownProfile as error:
            staged = await self._staged_kept(services, order, error)
        else:
            staged = await stage_order(order, origin, self._staging, self._media)
            if staged.job is None or order_violations(order, origin, self.settings, has_host=True):
                checked = await self._described(staged, origin)
                raise InputRefused(list(checked.violations))
        if staged.job is None:
            raise InputRefused(list(staged.unreadable))
        if order.graph is not None:
            await services.ledger.remember_graph(staged.job.key, order.graph)
        return Run(services, staged.job.label, staged)

    async def _staged_kept(self, services: Services, order: AnyOrder, error: UnknownProfile) -> AnyStaged:
        """Stage an order whose profile is gone if its video is kept; that is served without a key."""
        if origin := await services.ledger.earlier_origin(order.profile):
            staged = await stage_order(order, origin, self._staging, self._media)
            if staged.job is not None and isinstance(await services.ledger.step(staged.job), Serve):
                return staged
            await staged.leave()
        raise error

    async def _check(self, order: Order, write_to: Path | None, *, by_content: bool) -> Checked:
        origin = await asyncio.to_thread(self.accounts.origin, order.service, order.profile)
        staged = await stage_order(order, origin, self._staging, self._media)
        return await self._described(staged, origin, write_to, by_content=by_content)

    async def _require_affordable(self, orders: list[Order]) -> None:
        await require_affordable(
            await self.services(), orders, lambda order: self._check(order, None, by_content=False)
        )

    async def _obstacles(self, order: Order, price: Price | None) -> tuple[KlingOnceError, ...]:
        return await obstacles(await self.services(), order, price)

    async def _described(
        self, staged: AnyStaged, origin: str, write_to: Path | None = None, *, by_content: bool = False
    ) -> Checked:
        try:
            order = staged.order
            generation = await asyncio.to_thread(self.accounts.generation, order.service, order.profile)
            china = realm_of(order.service, origin) == "china"
            await staged.fit(self._media, generation=generation, china=china)
            return await describe(
                staged, origin, self.settings, self.services, write_to=write_to, by_content=by_content
            )
        finally:
            await staged.leave()

    async def _list(self, service: Service, profile: str, page: int, page_size: int) -> TaskPage:
        services = await self.services()
        client = await services.client(await services.account(service, profile))
        tasks = (await client.list(page, page_size)).value
        is_last = len(tasks) < page_size
        tasks = tuple(task for task in tasks if task.element is None)  # the other generation lists every kind
        if self.settings.account_browse == "all":
            return TaskPage(tasks, is_last)
        own = await services.ledger.known_tasks([task.task_id for task in tasks])
        return TaskPage(tuple(task for task in tasks if task.task_id in own), is_last)

    async def _elements(
        self, service: Service, profile: str, *, presets: bool, is_fresh: bool
    ) -> tuple[Element, ...]:
        library = (await self.services()).library
        return await library.elements(service, profile, presets=presets, is_fresh=is_fresh)

    async def _element(self, service: Service, profile: str, element_id: str) -> Element:
        return await (await self.services()).library.element(service, profile, element_id)

    async def _delete_element(self, service: Service, profile: str, element_id: str) -> None:
        await (await self.services()).library.delete(service, profile, element_id)

    async def _element_picture(self, service: Service, profile: str, element_id: str) -> Path:
        return await (await self.services()).library.picture(service, profile, element_id)

    async def _carry_over(self, profile: str) -> int:
        return await carry_over(await self.services(), profile)

    async def _packs(self, service: Service, profile: str, span: timedelta) -> tuple[ResourcePack, ...]:
        services = await self.services()
        client = await services.client(await services.account(service, profile))
        now = self.clock.now()
        return (await client.costs(now - span, now)).value

    async def _clean_store(self, older_than: timedelta) -> tuple[int, int]:
        services = await self.services()
        host = await services.required_host()
        return await clean(services.ledger, host, self.clock.now() - older_than)

    async def _leftovers(self) -> tuple[str, list[Leftover]]:
        host = await (await self.services()).required_host()
        return host.kind, await host.leftovers()

    async def _keep_file(self, name: str, path: Path) -> Outcome:
        services = await self.services()
        attempt = await named_attempt(services, name)
        label = await services.ledger.label(attempt.job_key)
        kept = await keep_given_file(services, attempt, label, path)
        return Outcome(label, kept, self.store.path(kept.result_path or ""), reused=True)

    def _open_ledger(self) -> Ledger:
        with self._opening:
            if self._ledger is None:
                self._ledger = Ledger(self.settings.home, self.clock, self.settings.ledger_url)
            return self._ledger

    async def _wind_down(self) -> None:
        with anyio.move_on_after(SENDING_GRACE_SECONDS):
            for run in [*self._runs.values()]:
                await run.not_sending.wait()
        self._is_closing = True
        for run in self._runs.values():
            run.scope.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS / 2)
        if self._services is not None:
            await self._services.close()
