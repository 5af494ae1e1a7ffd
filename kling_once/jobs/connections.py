"""What the engine keeps open: clients, hosts, lines, and the embedded sandbox. One event loop's own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

from ..api.client import KlingClient
from ..hosting.choice import choose_host
from ..hosting.sandbox import SandboxHost
from ..order import EMBEDDED_ORIGIN, Service
from .tickets import Line

if TYPE_CHECKING:
    from ..accounts.accounts import Account
    from ..clock import Clock
    from ..hosting.gateway import Gateway
    from ..hosting.media_host import MediaHost
    from ..sandbox import Sandbox
    from ..settings import Settings


def has_host(settings: Settings, service: Service) -> bool:
    """Tell whether local clips can be put somewhere for this service."""
    return service is Service.SANDBOX or bool(settings.store_url or settings.public_url)


class Connections:
    """Everything that talks to the network, opened when it is first needed."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._clients: dict[tuple[str, str, str], KlingClient] = {}
        self._lines: dict[tuple[str, str], Line] = {}
        self._public: list[MediaHost | None] = []
        self._sandbox: Sandbox | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close everything."""
        await self._stack.aclose()

    async def client(self, account: Account) -> KlingClient:
        """Return the client of an account."""
        name = (account.origin, account.profile, account.fingerprint)
        origin = await self.origin(account.origin)
        async with self._opening:
            if name not in self._clients:
                seconds = self._settings.pace(origin).create_seconds
                opened = KlingClient.connect(origin, account.credential, self._clock, create_seconds=seconds)
                self._clients[name] = await self._stack.enter_async_context(opened)
            return self._clients[name]

    def line(self, account: Account) -> Line:
        """Return the line before an account."""
        return self._lines.setdefault((account.origin, account.fingerprint), Line(self._clock))

    def has_host(self, service: Service) -> bool:
        """Tell whether local clips can be put somewhere for this service."""
        return has_host(self._settings, service)

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
        token = self._settings.sandbox_token
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
                host = await asyncio.to_thread(choose_host, self._settings, self._clock)
                if host is not None and host.kind == "gateway":
                    gateway = cast("Gateway", host)
                    self._stack.push_async_callback(gateway.stop)
                    await gateway.start()
                self._public.append(host)
            return self._public[0]

    async def origin(self, origin: str) -> str:
        """Return an origin that requests can be sent to; starts the embedded sandbox for its name."""
        if origin != EMBEDDED_ORIGIN:
            return origin
        async with self._opening:
            if self._sandbox is None:
                from ..sandbox import Sandbox, SandboxOptions  # noqa: PLC0415 - only for those who use it

                folder = self._settings.home / "sandbox"
                sandbox = Sandbox(SandboxOptions(state_dir=folder, embedded=True))
                await sandbox.start()
                self._stack.push_async_callback(sandbox.stop)
                self._sandbox = sandbox
            return self._sandbox.origin
