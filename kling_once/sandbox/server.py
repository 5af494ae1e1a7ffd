"""The running sandbox: an aiohttp server over one state."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import tempfile
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aiohttp import web

from .callbacks import Callbacks
from .connection import is_loopback, origin_at
from .control import Control
from .elements import MATERIAL_PATH
from .endpoints import Endpoints
from .files import Files, private_folder
from .references import Fetcher
from .results import Results
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from .options import SandboxOptions


class Sandbox:
    """One server of a sandbox; several, also in several processes, may share a state directory.

    Attributes:
        options: what the sandbox was started with.
        origin: "http://127.0.0.1:54321" once started, else "".
        token: value that the header `X-Sandbox-Token` must have; None where no control needs one.
        callback_origins: origins that an embedded sandbox may call, such as "http://127.0.0.1:8188".
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.origin = ""
        self.token = options.token
        self.callback_origins = set(options.callback_origins)
        self._running: contextlib.AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the state and listen; port 0 takes a free one.

        Raises:
            OSError: the port is taken, or the state cannot be opened.
            RuntimeError: this sandbox is started already.
        """
        if self._running is not None:
            raise RuntimeError("this sandbox is already started")
        if self.token is None and (self.options.embedded or not is_loopback(host)):
            self.token = secrets.token_urlsafe(24)
        async with contextlib.AsyncExitStack() as starting:
            await self._start(starting, host, port)
            self._running = starting.pop_all()

    async def stop(self) -> None:
        """Stop listening and close the state; tasks go on when a server opens it again."""
        running, self._running = self._running, None
        self.origin = ""
        if running is not None:
            await running.aclose()

    async def _start(self, starting: contextlib.AsyncExitStack, host: str, port: int) -> None:
        """Start every part; `starting` stops them in reverse order."""
        options = self.options
        folder = await asyncio.to_thread(self._folder, starting)
        store = Store(folder)
        starting.push_async_callback(store.close)
        files = Files(folder, await store.open(), options.now)
        await asyncio.to_thread(files.sweep)
        callbacks = Callbacks(options, store)
        callbacks.origins = self.callback_origins
        starting.push_async_callback(callbacks.stop)
        results = Results(options, store, files)
        control = Control(options, store, files, self.token)
        endpoints = Endpoints(options, store, Fetcher(files, options.fetch), callbacks)
        application = web.Application()
        application.on_response_prepare.append(self._date)
        application.add_routes(
            [
                web.get("/sandbox/results/{task_id:[0-9]+}/{name:[0-9a-f]{40}}.mp4", results.serve),
                web.get(MATERIAL_PATH + "{name}", control.element_material),
                *control.routes(),
                web.route("*", "/{tail:.*}", endpoints.handle),
            ]
        )
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            auto_decompress=False,
            shutdown_timeout=0.5,
        )
        starting.push_async_callback(runner.cleanup)
        starting.callback(results.stop)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        self.origin = callbacks.own_origin = origin_at(host, runner.addresses[0][1])
        starting.push_async_callback(_cancel, asyncio.create_task(callbacks.advance_tasks()))

    def _folder(self, starting: contextlib.AsyncExitStack) -> Path:
        folder = self.options.state_dir
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="kling-sandbox-", ignore_cleanup_errors=True)
            starting.push_async_callback(asyncio.to_thread, temporary.cleanup)
            return Path(temporary.name)
        private_folder(folder)
        return folder

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Set the Date header by the sandbox's clock; clients measure the 30 days of a result by it."""
        response.headers["Date"] = formatdate(self.options.now(), usegmt=True)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def serve(
    options: SandboxOptions,
    host: str = "127.0.0.1",
    port: int = 8190,
    started: Callable[[Sandbox], object] | None = None,
) -> int:
    """Run a sandbox until SIGINT or SIGTERM.

    Args:
        options: how the sandbox behaves.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        started: called once it listens; by default one line with its origin is printed, and where controls
            need a token that the options do not name, a second one with the token.

    Returns:
        The number of the signal.

    Raises:
        OSError: it cannot listen there.
    """
    return asyncio.run(_serve(options, host, port, started or _say_where))


async def _serve(options: SandboxOptions, host: str, port: int, started: Callable[[Sandbox], object]) -> int:
    sandbox = Sandbox(options)
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(number: int) -> None:
        if not stopped.done():
            stopped.set_result(number)

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        try:
            loop.add_signal_handler(number, stop, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(stop, number))
    try:
        await sandbox.start(host, port)
        started(sandbox)
        return await stopped
    finally:
        for number, handler in previous.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)
        await sandbox.stop()


def _say_where(sandbox: Sandbox) -> None:
    lines = [f"Kling sandbox listens on {sandbox.origin}"]
    if sandbox.token is not None and sandbox.options.token is None:
        lines.append(f"X-Sandbox-Token: {sandbox.token}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
