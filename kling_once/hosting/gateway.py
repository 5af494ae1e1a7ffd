"""The gateway: reference videos served from this machine, behind the user's tunnel or reverse proxy."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..clock import Clock, SystemClock
from ..concurrency import on_signals
from ..errors import HostingError
from ..origins import is_loopback, url_parts
from .callbacks import Callbacks
from .fetch_check import Hop, check_fetch
from .gateway_files import GatewayFiles, GatewayTable
from .gateway_server import LOOPBACK, GatewayServer, Grant, SignedPaths
from .media_host import HostedFile, Leftover, MediaHost, checked_digest, checked_lifetime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..settings import Settings

logger = logging.getLogger(__name__)
LONGEST_LIFETIME = timedelta(days=30)
"""As long as Kling keeps a task."""
LOCATION = "gateway:"
WATCH_SECONDS = 5.0
"""How often a process that stands by tries to serve."""


class Gateway(MediaHost):
    """A folder of published clips and the loopback server that serves them.

    Any number of processes of one home may hold a `Gateway`. One of them serves, all of them publish and
    sign; when the serving process ends, another takes the port over. Secret, table and files lie in
    `<home>/gateway`, so links outlive a restart.
    """

    kind = "gateway"

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Open the folder; does not listen yet.

        Raises:
            HostingError: the public URL, the webhook secret or the folder cannot be used.
        """
        self.public_url = clean_public_url(settings.public_url)
        """The address of the tunnel or proxy, without a trailing slash."""
        self._clock = clock or SystemClock()
        folder = private_folder(settings.home)
        self._paths = SignedPaths.of_folder(folder)
        self._table = GatewayTable(folder / "table.sqlite")
        self._files = GatewayFiles(folder / "files", self._table)
        self._callbacks = Callbacks(settings.webhook_secret, self._table, self._clock)
        self._server = GatewayServer(
            port=settings.gateway_port,
            prefix=urlsplit(self.public_url).path,
            folder=folder,
            paths=self._paths,
            table=self._table,
            callbacks=self._callbacks,
            clock=self._clock,
        )
        self._starting = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Return the loopback port that the tunnel must lead to."""
        return self._server.port

    @property
    def serving(self) -> bool:
        """Tell whether this process is the one that serves."""
        return self._server.running

    async def start(self) -> None:
        """Ensure that the gateway runs, and keep ensuring it on the running loop until `stop`.

        Raises:
            HostingError: as `ensure_running`.
        """
        await self.ensure_running()
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching and serving; published files stay."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        await self._server.stop()

    async def ensure_running(self) -> None:
        """Serve from this process, unless another process of this home serves already.

        Idempotent and cheap: at most one attempt to take a file lock.

        Raises:
            HostingError: the port is taken by another program, or may not be used; or the gateway's folder
                cannot be locked.
        """
        async with self._starting:
            if self._server.running:
                return
            try:
                await self._server.start()
            except PermissionError:
                raise HostingError(
                    f"Port {self.port} may not be used.",
                    hint="Set KLING_ONCE_GATEWAY_PORT to one above 1023.",
                ) from None
            except OSError:
                raise HostingError(
                    f"Port {self.port} is used by another program, or by the gateway of another home.",
                    hint="End it, or set KLING_ONCE_GATEWAY_PORT to a free port and let the tunnel lead"
                    " there.",
                ) from None

    def location(self, file: HostedFile) -> str:
        """Return `gateway:<digest>`."""
        return LOCATION + checked_digest(file.digest)

    async def publish(self, file: HostedFile) -> str:
        """Copy the clip into the gateway's folder and register it; return `gateway:<digest>`.

        The file that was passed in may be deleted or changed afterwards.
        """
        await asyncio.to_thread(self._files.keep, file)
        return self.location(file)

    async def sign(self, location: str, lifetime_seconds: float) -> str:
        """Return a public URL that lives a minute longer than asked; ensures that the gateway runs."""
        lifetime = checked_lifetime(lifetime_seconds, LONGEST_LIFETIME)
        digest = _digest(location)
        if not await asyncio.to_thread(self._files.holds, digest):
            raise HostingError(
                "The gateway does not hold this clip any more.", hint="Run again to publish it."
            )
        await self.ensure_running()
        expires_at = int((self._clock.now() + lifetime).timestamp()) + 1
        return self.public_url + self._paths.file_path(Grant(digest, expires_at))

    async def verify(self, url: str, file: HostedFile) -> None:
        """Fetch three parts on loopback, then through the public address, and compare them with the file."""
        if not url.startswith(f"{self.public_url}/ko/"):
            raise HostingError("This link was not made by the gateway with its present public address.")
        inside = f"http://{LOOPBACK}:{self.port}{url.removeprefix(self.public_url)}"
        again = "Run again; if it stays, look whether kling-once gateway runs and which port it has."
        name = f"the gateway on {LOOPBACK}:{self.port}"
        await check_fetch(inside, file, Hop(name, missing=again, denied=again, down=again))
        host = urlsplit(self.public_url).hostname
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
        """Unregister the clip and delete the gateway's copy; one that is gone already is no error."""
        await asyncio.to_thread(self._files.drop, _digest(location))

    async def leftovers(self) -> list[Leftover]:
        """Return every clip in the gateway's folder, parts of interrupted copies included."""
        found = await asyncio.to_thread(self._files.held)
        return [
            Leftover(LOCATION + digest, size_bytes, datetime.fromtimestamp(modified, UTC))
            for digest, (size_bytes, modified) in found.items()
        ]

    def callback_url(self) -> str:
        """Return the URL to hand to Kling as `callback_url`; keep it out of logs and messages."""
        return self.public_url + self._paths.callback_path()

    async def wait_for_callback(self, task_id: str) -> None:
        """Return when a callback names the task, whichever process of the home receives it.

        Counts callbacks from a second before this call, so none is lost between a look at the task and this
        wait. Returns after a second at the earliest (debounce), and never without a callback: call it with a
        timeout, on the loop that `start` ran on. A callback means "look at this task now" and nothing more.
        """
        await self._callbacks.wait(task_id, lambda: self.serving)

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
    """Return `<home>/gateway`, created with its `files` folder and readable by the user alone.

    Raises:
        HostingError: it cannot be created.
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
    more = parts.query or parts.fragment or parts.username or parts.password
    if not parts.hostname or parts.port == 0 or more:
        raise HostingError(
            "KLING_ONCE_PUBLIC_URL is not an address.", hint="Example: https://clips.example.com"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
        raise HostingError(
            f"KLING_ONCE_PUBLIC_URL must begin with https:// ({parts.hostname} is not this machine).",
            hint="Tunnels and reverse proxies give an https address.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def serve_gateway(settings: Settings, started: Callable[[Gateway], object] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; blocking.

    While another process of this home serves, this one stands by and takes over when that one ends.

    Args:
        settings: home, port and public address.
        started: called once when the gateway runs; default: print one line to standard output.

    Returns:
        The number of the signal.

    Raises:
        HostingError: no public address, or the port is taken by another program.
    """
    return asyncio.run(_serve(settings, started or _print_line))


async def _serve(settings: Settings, started: Callable[[Gateway], object]) -> int:
    gateway = Gateway(settings)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    on_signals((signal.SIGINT, signal.SIGTERM), end)
    await gateway.start()
    try:
        started(gateway)
        return await ended
    finally:
        await gateway.stop()


def _print_line(gateway: Gateway) -> None:
    place = f"{gateway.public_url} -> http://{LOOPBACK}:{gateway.port}"
    standing_by = "" if gateway.serving else " (another process of this home serves it; standing by)"
    sys.stdout.write(f"Kling Once gateway: {place}{standing_by}\n")
    sys.stdout.flush()
