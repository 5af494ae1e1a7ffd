"""The reference video served from this machine, for people with a tunnel or reverse proxy before it."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from ..clock import Clock, SystemClock
from ..errors import HostingError
from ..settings import is_loopback, url_parts
from .fetch_check import Hop, check_fetch
from .gateway_files import FileTable, GatewayFiles
from .gateway_server import LOOPBACK, GatewayServer
from .media_host import (
    HostedFile,
    Leftover,
    MediaHost,
    checked_digest,
    checked_lifetime,
)
from .signed_path import CallbackCheck, Grant, SignedPaths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..settings import Settings


logger = logging.getLogger(__name__)
LONGEST_LIFETIME = timedelta(days=30)
"""As long as Kling keeps a task."""
LOCATION = "gateway:"
PROOF_SECONDS = 5.0
TAKEOVER_TRIES = 3
WATCH_SECONDS = 5.0


class Gateway(MediaHost):
    """A folder of published clips and the loopback server that hands them out.

    Any number of processes of one home may hold a `Gateway`: one of them serves, all of them sign, and
    when the one that serves ends, the next `ensure_running` of another takes the port over. Secret, table
    and files lie in `<home>/gateway`, so a restart serves the same links.
    """

    kind = "gateway"

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Open the folder; nothing listens yet.

        Raises:
            HostingError: the public URL, the webhook secret or the folder cannot be used.
        """
        self._public = clean_public_url(settings.public_url)
        self._clock = clock or SystemClock()
        folder = private_folder(settings.home)
        self._paths = SignedPaths.of_folder(folder)
        self._table = FileTable(folder / "table.sqlite")
        self._files = GatewayFiles(folder / "files", self._table)
        self._server = GatewayServer(
            port=settings.gateway_port,
            prefix=urlsplit(self._public).path,
            paths=self._paths,
            table=self._table,
            files=folder / "files",
            callbacks=CallbackCheck(settings.webhook_secret),
            clock=self._clock,
        )
        self._starting = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def public_url(self) -> str:
        """Return the address of the tunnel or proxy, without a slash at its end."""
        return self._public

    @property
    def port(self) -> int:
        """Return the loopback port that the tunnel must lead to."""
        return self._server.port

    @property
    def serving(self) -> bool:
        """Tell whether this process is the one that holds the port."""
        return self._server.running

    async def start(self) -> None:
        """Make sure that the gateway runs, and keep it so until `stop`, on the running loop.

        Raises:
            HostingError: the port is taken by another program.
        """
        await self.ensure_running()
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching, and give the port back if this process holds it; published files stay."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        await self._server.stop()

    async def ensure_running(self) -> None:
        """Serve from here, unless a gateway of this home already does.

        Cheap when all is well: nothing if this process serves, else one request on loopback.

        Raises:
            HostingError: the port is taken by another program, or may not be used.
        """
        async with self._starting:
            for _ in range(TAKEOVER_TRIES):
                if self._server.running or await self._take_port() or await self._is_ours():
                    return
        raise HostingError(
            f"Port {self.port} is used by another program, or by the gateway of another home.",
            hint="End it, or set KLING_ONCE_GATEWAY_PORT to a free port and let the tunnel lead there.",
        )

    def location(self, file: HostedFile) -> str:
        """Return `gateway:<digest>`."""
        return LOCATION + checked_digest(file.digest)

    async def publish(self, file: HostedFile) -> str:
        """Copy the clip into the gateway's folder and register it; return `gateway:<digest>`.

        The clip that was handed in may be deleted or changed afterwards.
        """
        await asyncio.to_thread(self._files.keep, file)
        return self.location(file)

    async def sign(self, location: str, lifetime_seconds: float) -> str:
        """Return a public URL that lives a minute longer than asked; makes sure that the gateway runs."""
        lifetime = checked_lifetime(lifetime_seconds, LONGEST_LIFETIME)
        digest = _digest(location)
        if not await asyncio.to_thread(self._files.holds, digest):
            raise HostingError(
                "The gateway does not hold this clip any more.", hint="Run again to publish it."
            )
        await self.ensure_running()
        expires_at = int((self._clock.now() + lifetime).timestamp()) + 1
        return self._public + self._paths.file_path(Grant(digest, expires_at))

    async def verify(self, url: str, file: HostedFile) -> None:
        """Fetch three parts, first on loopback, then through the public address, and compare them."""
        if not url.startswith(f"{self._public}/ko/"):
            raise HostingError("This link was not made by the gateway with its present public address.")
        inside = f"http://{LOOPBACK}:{self.port}{url.removeprefix(self._public)}"
        again = "Run again; if it stays, look whether kling-once gateway runs and which port it has."
        name = f"the gateway on {LOOPBACK}:{self.port}"
        await check_fetch(inside, file, Hop(name, missing=again, denied=again, down=again))
        host = urlsplit(self._public).hostname
        target = f"Let it lead to http://{LOOPBACK}:{self.port}"
        await check_fetch(
            url,
            file,
            Hop(
                f"the tunnel or proxy at {host}",
                missing=f"{target}, and KLING_ONCE_PUBLIC_URL to it; the gateway itself answers well.",
                denied=f"{target} without a login or filter: Kling cannot log in.",
                down=f"Start the tunnel. {target}; the gateway itself answers well.",
            ),
        )

    async def withdraw(self, location: str) -> None:
        """Forget the clip and delete the gateway's copy; one that is already gone is no error."""
        await asyncio.to_thread(self._files.drop, _digest(location))

    async def leftovers(self) -> list[Leftover]:
        """Return every clip the gateway's folder still holds, half-made copies included."""
        found = await asyncio.to_thread(self._files.held)
        return [
            Leftover(LOCATION + digest, size_bytes, datetime.fromtimestamp(modified, UTC))
            for digest, (size_bytes, modified) in found.items()
        ]

    def callback_url(self) -> str:
        """Return the URL to hand to Kling as `callback_url`; keep it out of logs and messages."""
        return self._public + self._paths.callback_path()

    def hints_since(self, moment: datetime) -> set[str]:
        """Return the tasks that a callback named at `moment` or later, whichever process took it.

        A hint says "look at this task now" and nothing more. It becomes visible a few milliseconds after the
        time it carries, so ask from a second before the last call. Takes well under a millisecond.

        Raises:
            HostingError: the table cannot be read.
        """
        return self._table.hints_since(moment)

    async def _take_port(self) -> bool:
        try:
            await self._server.start()
        except PermissionError:
            raise HostingError(
                f"Port {self.port} may not be used.", hint="Set KLING_ONCE_GATEWAY_PORT to one above 1023."
            ) from None
        except OSError:
            return False
        return True

    async def _is_ours(self) -> bool:
        """Ask who holds the port for a proof that only a holder of our secret can give."""
        nonce = secrets.token_hex(16)
        asked = f"http://{LOOPBACK}:{self.port}/ko/gateway/{nonce}"
        timeout = aiohttp.ClientTimeout(total=PROOF_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.get(asked, allow_redirects=False) as answer,
            ):
                said = await answer.content.read(256)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False
        return secrets.compare_digest(said, self._paths.proof(nonce, self.port).encode())

    async def _watch(self) -> None:
        said = ""
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            try:
                await self.ensure_running()
                said = ""
            except HostingError as error:
                if str(error) != said:
                    said = str(error)
                    logger.warning("The gateway does not run: %s", error)


def _digest(location: str) -> str:
    if not location.startswith(LOCATION):
        raise HostingError("This clip was not published by the gateway.")
    return checked_digest(location.removeprefix(LOCATION))


def private_folder(home: Path) -> Path:
    """Return `<home>/gateway`, made with its `files` folder, open to the user alone.

    Raises:
        HostingError: it cannot be made.
    """
    folder = home / "gateway"
    try:
        (folder / "files").mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.name == "posix":
            folder.chmod(0o700)
    except OSError as error:
        raise HostingError(f"{folder} cannot be used: {error.strerror}.") from None
    return folder


def clean_public_url(url: str | None) -> str:
    """Return `scheme://host[:port][/path]` of the tunnel or proxy; plain http is for loopback alone.

    Raises:
        HostingError: none is set, or it is not of this form.
    """
    if not url:
        raise HostingError(
            "The gateway has no public address.",
            hint="Set KLING_ONCE_PUBLIC_URL to the https address of your tunnel or reverse proxy.",
        )
    parts = url_parts(url)
    if (
        not parts.hostname
        or parts.port == 0
        or parts.query
        or parts.fragment
        or parts.username
        or parts.password
    ):
        raise HostingError(
            "KLING_ONCE_PUBLIC_URL is not an address.", hint="Example: https://clips.example.com"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
        raise HostingError(
            f"KLING_ONCE_PUBLIC_URL must begin with https:// ({parts.hostname} is not this machine).",
            hint="Tunnels and reverse proxies give an https address.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def serve_gateway(settings: Settings, started: Callable[[Gateway], object] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; blocks.

    Where another process of this home serves already, it stands by and takes the port over when that one
    ends.

    Args:
        settings: as everywhere.
        started: is told once the gateway runs; default: one line on standard output, flushed.

    Raises:
        HostingError: no public address, or the port is taken by another program.
    """
    asyncio.run(_serve(settings, started or _print_line))


async def _serve(settings: Settings, started: Callable[[Gateway], object]) -> None:
    gateway = Gateway(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    await gateway.start()
    try:
        started(gateway)
        await ended.wait()
    finally:
        await gateway.stop()


def _print_line(gateway: Gateway) -> None:
    place = f"{gateway.public_url} -> http://{LOOPBACK}:{gateway.port}"
    standing_by = "" if gateway.serving else " (another process of this home serves it; standing by)"
    sys.stdout.write(f"Kling Once gateway: {place}{standing_by}\n")
    sys.stdout.flush()
