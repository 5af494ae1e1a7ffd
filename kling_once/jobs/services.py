"""What all runs of a process share: settings, clock, ledger, results, accounts, connections, media threads.

It belongs to one event loop, the engine's.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ..api.client import KlingClient
from ..api.elements import ElementClient
from ..api.limits import Mode
from ..api.standard import StandardClient
from ..concurrency import SingleFlight
from ..hosting.media_host import SandboxHost, choose_host, no_place_error
from ..media.memory import require_memory
from ..order import EMBEDDED_ORIGIN, Kind, Service
from .library import Library
from .uploads import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from ..accounts.accounts import Account, Accounts
    from ..hosting.gateway import Gateway
    from ..hosting.media_host import MediaHost
    from ..ledger.attempts import Attempt
    from ..ledger.ledger import Ledger
    from ..ledger.slots import Line, Room
    from ..order import Spender
    from ..results.store import ResultStore
    from ..sandbox import Sandbox
    from ..settings import Settings
    from .progress import Watchers


CLIENTS: Final[dict[str, type[KlingClient]]] = {
    kind.generation: kind for kind in (KlingClient, StandardClient)
}
FRAMES_PER_SECOND: Final = 30
"""What Kling delivers (seen in every result so far)."""
PIXELS: Final = {Mode.STD.value: 1280 * 720, Mode.PRO.value: 1920 * 1080}
"""About the same for every shape of picture."""
BYTES_PER_PIXEL: Final = 12
"""Three channels of float32."""


def has_host(settings: Settings, service: Service) -> bool:
    """Tell whether local clips can be put somewhere for this service."""
    return service is Service.SANDBOX or bool(settings.store_url or settings.public_url)


class ComingFrames:
    """Frames that will be decoded, by prompt, node and job: those of one prompt are in memory together."""

    def __init__(self) -> None:
        self._frames: dict[tuple[Spender, str], tuple[int, int]] = {}

    def count(self, spender: Spender, job_key: str, mode: str, seconds: Decimal) -> None:
        """Write down what a node decodes: all of its items, of which `job_key` is one."""
        frames = math.ceil(float(seconds) * FRAMES_PER_SECOND)
        pixels = PIXELS.get(mode, max(PIXELS.values()))
        self._frames[spender, job_key] = (frames * pixels * BYTES_PER_PIXEL, frames)

    def forget(self, spender: Spender, job_key: str) -> None:
        """Stop counting a job that has ended: its decoded frames show in the free memory by then."""
        self._frames.pop((spender, job_key), None)

    def require_memory(self, prompt_id: str) -> None:
        """Pass when the frames of all of a prompt's nodes would fit.

        Raises:
            NotEnoughMemory: with the numbers; nothing was submitted.
        """
        nodes: dict[str, tuple[int, int]] = {}
        for (spender, _job_key), found in self._frames.copy().items():
            if spender.prompt_id == prompt_id:
                nodes[spender.node_id] = max(found, nodes.get(spender.node_id, (0, 0)))
        require_memory(
            sum(size_bytes for size_bytes, _frames in nodes.values()),
            f"The {sum(frames for _size, frames in nodes.values())} frames of this prompt's results",
            "Nothing was submitted. Leave the frames output unwired and take the video output:"
            " Kling Once Video Frames picks fewer or smaller frames from it.",
        )


class Services:
    """Shared by every run; what talks to the network is opened when it is first needed."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        results: ResultStore,
        accounts: Accounts,
        media: MediaThreads,
        watchers: Watchers,
    ) -> None:
        self.settings = settings
        self.clock = ledger.clock
        self.ledger = ledger
        self.results = results
        self.accounts = accounts
        self.media = media
        self.watchers = watchers
        self.coming_frames = ComingFrames()
        self.slots = asyncio.Semaphore(settings.max_parallel)
        """One for each task that this process runs at once."""
        self.sweeper = Sweeper(ledger, self.public_host, ledger.clock)
        self.library = Library(self)
        self._stack = AsyncExitStack()
        self._clients: dict[tuple[str, str, str], KlingClient] = {}
        self._public: list[MediaHost | None] = []
        self._sandbox: Sandbox | None = None
        self._opening = asyncio.Lock()
        self._moved = asyncio.Event()
        self._lines: SingleFlight[Line] = SingleFlight()

    async def close(self) -> None:
        """Close everything that was opened here."""
        await self._stack.aclose()

    async def moved(self) -> None:
        """Return when a job of this process has moved on."""
        await self._moved.wait()

    def tell_moved(self) -> None:
        """Let those look again who wait for one of an account's slots."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def take_slot(self, attempt: Attempt, room: Room, most: int | None) -> bool:
        """Take a slot of an account for an attempt, or a place in the line; tell whether it has one.

        Those of this process who wait look together; only who may go, or is not in the line yet, writes.

        Args:
            attempt: to be sent; this process holds its lease.
            room: what Kling counts it with.
            most: how many the operator allows; None for as many as Kling does.
        """
        line = await self._lines.run(room.name, lambda: self.ledger.line(room, most))
        return line.lets(attempt) and await self.ledger.take_slot(attempt, room, most)

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

    async def elements(self, account: Account) -> ElementClient:
        """Return the element library of an account."""
        return ElementClient.beside(await self.client(account))

    async def client(self, account: Account, kind: Kind = Kind.VIDEO) -> KlingClient:
        """Return the API client of an account, for tasks of one kind."""
        if kind is Kind.ELEMENT:
            return await self.elements(account)
        name = (account.origin, account.fingerprint, account.generation)
        origin = await self.origin(account.origin)
        async with self._opening:
            if name not in self._clients:
                speaks = CLIENTS[account.generation]
                pace = self.settings.pace(origin)
                opened = speaks.connect(
                    origin,
                    account.credential,
                    self.clock,
                    create_seconds=pace.create_seconds,
                    poll_seconds=pace.poll_seconds,
                )
                self._clients[name] = await self._stack.enter_async_context(opened)
            return self._clients[name]

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
                sandbox = Sandbox(SandboxOptions(state_dir=folder, embedded=True, fetch="guarded"))
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
