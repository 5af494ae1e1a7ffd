"""What all runs of a process share: settings, clock, ledger, results, accounts, connections, media threads.

It belongs to one event loop, the engine's.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ..api.client import KlingClient
from ..api.standard import StandardClient
from ..api.transport import backoff_seconds
from ..hosting.media_host import SandboxHost, choose_host, no_place_error
from ..order import EMBEDDED_ORIGIN, Service
from .results import ComingFrames
from .uploads import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..accounts.accounts import Account, Accounts
    from ..clock import Clock
    from ..hosting.gateway import Gateway
    from ..hosting.media_host import MediaHost
    from ..ledger.attempts import Attempt
    from ..ledger.ledger import Ledger
    from ..sandbox import Sandbox
    from ..settings import Settings
    from .progress import Watchers
    from .results import ResultStore


CLIENTS: Final[dict[str, type[KlingClient]]] = {
    kind.generation: kind for kind in (KlingClient, StandardClient)
}


def has_host(settings: Settings, service: Service) -> bool:
    """Tell whether local clips can be put somewhere for this service."""
    return service is Service.SANDBOX or bool(settings.store_url or settings.public_url)


class Services:
    """Shared by every run; what talks to the network is opened when it is first needed."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        ledger: Ledger,
        results: ResultStore,
        accounts: Accounts,
        media: MediaThreads,
        watchers: Watchers,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.ledger = ledger
        self.results = results
        self.accounts = accounts
        self.media = media
        self.watchers = watchers
        self.coming_frames = ComingFrames()
        self.slots = asyncio.Semaphore(settings.max_parallel)
        """One for each task that this process runs at once."""
        self.sweeper = Sweeper(ledger, self.public_host, clock)
        self._stack = AsyncExitStack()
        self._clients: dict[tuple[str, str, str], KlingClient] = {}
        self._queues: dict[tuple[str, str], TicketQueue] = {}
        self._public: list[MediaHost | None] = []
        self._sandbox: Sandbox | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close everything that was opened here."""
        await self._stack.aclose()

    async def account(self, service: Service, profile: str) -> Account:
        """Return the account of a new order.

        Raises:
            CredentialsError: no usable key; the message says where to put one.
        """
        key = await self.ledger.fingerprint_key()
        return await asyncio.to_thread(self.accounts.account, service, profile, key)

    async def account_of(self, attempt: Attempt) -> Account:
        """Return the account that an attempt was made with, and no other.

        Raises:
            CredentialsChanged: it is not configured now; nothing was sent.
        """
        key = await self.ledger.fingerprint_key()
        return await asyncio.to_thread(self.accounts.account_of, attempt, key)

    async def client(self, account: Account) -> KlingClient:
        """Return the API client of an account."""
        name = (account.origin, account.fingerprint, account.generation)
        origin = await self.origin(account.origin)
        async with self._opening:
            if name not in self._clients:
                kind = CLIENTS[account.generation]
                pace = self.settings.pace(origin)
                opened = kind.connect(
                    origin,
                    account.credential,
                    self.clock,
                    create_seconds=pace.create_seconds,
                    poll_seconds=pace.poll_seconds,
                )
                self._clients[name] = await self._stack.enter_async_context(opened)
            return self._clients[name]

    def queue(self, account: Account) -> TicketQueue:
        """Return the queue before an account."""
        return self._queues.setdefault((account.origin, account.fingerprint), TicketQueue(self.clock))

    async def host(self, service: Service, origin: str) -> MediaHost | None:
        """Return where local clips are put for this service, None when nothing is configured.

        Raises:
            HostingError: what is configured cannot be used.
        """
        if service is Service.KLING:
            return await self.public_host()
        real = await self.origin(origin)
        if origin == EMBEDDED_ORIGIN and self._sandbox is not None:
            return SandboxHost(real, self._sandbox.token)
        token = self.settings.sandbox_token
        return SandboxHost(real, token.get_secret_value() if token else None)

    async def gateway(self, service: Service) -> Gateway | None:
        """Return our gateway, running, where it is what hosts this service's clips."""
        host = await self.public_host() if service is Service.KLING else None
        return cast("Gateway", host) if host is not None and host.kind == "gateway" else None

    async def public_host(self) -> MediaHost | None:
        """Return the host that is configured for Kling, opened; a gateway runs from here on.

        Raises:
            HostingError: what is configured cannot be used.
        """
        async with self._opening:
            if not self._public:
                host = await asyncio.to_thread(choose_host, self.settings, self.clock)
                if host is not None and host.kind == "gateway":
                    gateway = cast("Gateway", host)
                    self._stack.push_async_callback(gateway.stop)
                    await gateway.start()
                self._public.append(host)
            return self._public[0]

    async def use_host(self, settings: Settings) -> MediaHost | None:
        """Put local clips elsewhere from here on, and return where that is, opened.

        Raises:
            HostingError: what is configured cannot be used.
        """
        async with self._opening:
            for host in self._public:
                if host is not None and host.kind == "gateway":
                    await cast("Gateway", host).stop()
            self._public.clear()
            self.settings = settings
        return await self.public_host()

    async def required_host(self) -> MediaHost:
        """Return the host that is configured for Kling.

        Raises:
            HostingError: there is none, or it cannot be used.
        """
        host = await self.public_host()
        if host is None:
            raise no_place_error()
        return host

    async def origin(self, origin: str) -> str:
        """Return an origin that requests can be sent to; starts the embedded sandbox for its name."""
        if origin != EMBEDDED_ORIGIN:
            return origin
        async with self._opening:
            if self._sandbox is None:
                from ..sandbox import Sandbox, SandboxOptions  # noqa: PLC0415 - only for those who use it

                folder = self.settings.home / "sandbox"
                sandbox = Sandbox(SandboxOptions(state_dir=folder, embedded=True))
                await sandbox.start()
                self._stack.push_async_callback(sandbox.stop)
                self._sandbox = sandbox
            return self._sandbox.origin

    async def sweep(self, service: Service) -> None:
        """Remove reference videos that nobody needs any more from the host that this process uses."""
        if service is Service.KLING:
            await self.sweeper.sweep_now()


MOST_AT_ONCE: Final = 4

Value = TypeVar("Value")


class MediaThreads:
    """A pool for reading, measuring and conforming. A call whose caller is cancelled is told to stop."""

    def __init__(self) -> None:
        workers = max(2, min(MOST_AT_ONCE, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kling-once-media")
        self._closed = threading.Event()

    async def run(self, work: Callable[..., Value], *args: Any) -> Value:
        """Return what `work(*args, stop=...)` returns, from one of the threads.

        `stop()` turns true when the caller is cancelled or the pool is closed.
        """
        cancelled = threading.Event()

        def stop() -> bool:
            return cancelled.is_set() or self._closed.is_set()

        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, lambda: work(*args, stop=stop)
            )
        finally:
            cancelled.set()

    def close(self) -> None:
        """Begin nothing more; what runs is told to stop and not waited for."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


LONGEST_PAUSE_SECONDS: Final = 20.0


class Ticket:
    """One submit that wants to be sent."""

    def __init__(self, queue: TicketQueue) -> None:
        self._queue = queue
        self._refusals = 0
        self._called = asyncio.Event()

    async def turn(self) -> None:
        """Return when this submit may be sent: at once while the account has room, else when it is first."""
        while not self._queue.lets_pass(self):
            self._called.clear()
            await self._called.wait()

    async def refused(self, pause_seconds: float) -> None:
        """Note that the account is full, and back off before the next try: twice as long each time.

        Args:
            pause_seconds: the first pause; none is longer than `LONGEST_PAUSE_SECONDS`.
        """
        self._queue.is_full = True
        self._refusals += 1
        pause = backoff_seconds(pause_seconds, self._refusals, longest_seconds=LONGEST_PAUSE_SECONDS)
        await self._queue.clock.sleep(pause)

    def call(self) -> None:
        """Let `turn` look again."""
        self._called.set()


class TicketQueue:
    """The submits of one account, in the order in which they came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_full = False
        self._tickets: deque[Ticket] = deque()

    def lets_pass(self, ticket: Ticket) -> bool:
        """Tell whether a ticket's submit may be sent now."""
        return not self.is_full or self._tickets[0] is ticket

    @contextmanager
    def ticket(self) -> Iterator[Ticket]:
        """Hold a ticket for as long as the block runs."""
        ticket = Ticket(self)
        self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            if not self._tickets:
                self.is_full = False
            for waiting in self._tickets:
                waiting.call()
