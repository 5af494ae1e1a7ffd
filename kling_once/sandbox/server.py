"""The running sandbox: an aiohttp server over one state."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import tempfile
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from .backend import Backend, cancelled, result_url
from .control import Control, origin_of
from .endpoints import BODY_MAX_BYTES, Call, Endpoints
from .fetch import is_loopback
from .results import Results, is_gone, reset
from .store import Store

if TYPE_CHECKING:
    from .options import SandboxOptions
    from .tasks import Task


DRAINED_MAX_BYTES: Final = 200_000_000

NOT_TEXT: Final = b"\xff"
"""Stands for a body whose transfer encoding is broken."""


class Sandbox:
    """One server of a sandbox; several, also in several processes, may share a state directory.

    `origin`: "http://127.0.0.1:54321" once started, else "".
    `token`: the value that `X-Sandbox-Token` must have; None where no control needs one.
    `callback_origins`: origins that an embedded sandbox may call back, such as "http://127.0.0.1:8188".
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.origin = ""
        self.token = options.token
        self.callback_origins = set(options.callback_origins)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store: Store | None = None
        self._runner: web.AppRunner | None = None
        self._results: Results | None = None
        self._backend: Backend | None = None
        self._mover: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the state and listen; port 0 picks a free one. OSError where that cannot be."""
        if self._runner is not None:
            raise RuntimeError("this sandbox is already started")
        if self.token is None and (self.options.embedded or not is_loopback(host)):
            self.token = secrets.token_urlsafe(24)
        try:
            await self._start(host, port)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and close the state; a task goes on when a server is started over it again."""
        if self._mover is not None:
            await cancelled(self._mover)
        if self._results is not None:
            self._results.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._backend is not None:
            await self._backend.callbacks.stop()
        if self._store is not None:
            await self._store.close()
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)
        self._mover = self._results = self._runner = self._backend = self._store = self._temporary = None
        self.origin = ""

    async def _start(self, host: str, port: int) -> None:
        folder = await asyncio.to_thread(self._folder)
        self._store = Store(folder)
        secret = await self._store.open()
        backend = self._backend = Backend(self.options, folder, self._store, secret)
        backend.callbacks.origins = self.callback_origins
        await asyncio.to_thread(backend.files.sweep)
        self._results = Results(backend)
        runner = self._runner = web.AppRunner(
            self._application(backend, self._results),
            access_log=None,
            handle_signals=False,
            auto_decompress=False,
            shutdown_timeout=0.5,
        )
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        named = f"[{host}]" if ":" in host else host
        self.origin = backend.origin = f"http://{named}:{bound}"
        self._mover = asyncio.create_task(backend.move_on())

    def _folder(self) -> Path:
        if self.options.state_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="kling-sandbox-", ignore_cleanup_errors=True)
            return Path(self._temporary.name)
        folder = Path(self.options.state_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _application(self, backend: Backend, results: Results) -> web.Application:
        application = web.Application()
        application.on_response_prepare.append(self._date)
        application.add_routes(
            [
                web.get("/sandbox/results/{task_id:[0-9]+}/{name:[0-9a-f]{40}}.mp4", results.serve),
                *Control(backend, self.token).routes(),
                web.route("*", "/{tail:.*}", _vendor_handler(backend)),
            ]
        )
        return application

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self.options.now(), usegmt=True)


def _vendor_handler(backend: Backend) -> Any:
    endpoints = Endpoints(backend)

    async def handle(request: web.Request) -> web.StreamResponse:
        origin = origin_of(request, backend.origin)
        try:
            body = await _body(request)
        except ConnectionError:
            return reset(request)

        def link(task: Task, name: str) -> str:
            return result_url(origin, task, name)

        call = Call(
            method=request.method,
            raw_path=request.rel_url.raw_path,
            raw_query=request.rel_url.raw_query_string,
            query=tuple(request.query.items()),
            authorization=request.headers.get("Authorization"),
            content_type=request.headers.get("Content-Type"),
            body=body,
            link=link,
            is_gone=lambda: is_gone(request),
        )
        reply = await endpoints.answer(call)
        if reply.status is None:
            return reset(request)
        if isinstance(reply.body, dict):
            return web.json_response(reply.body, status=reply.status)
        return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)

    return handle


async def _body(request: web.Request) -> bytes | None:
    """Read a body; one that is too long is read to its end all the same, so that the answer arrives."""
    raw, length = bytearray(), 0
    try:
        async for chunk in request.content.iter_chunked(1 << 16):
            length += len(chunk)
            if length <= BODY_MAX_BYTES:
                raw += chunk
            elif length > DRAINED_MAX_BYTES:
                break
    except web.RequestPayloadError:
        return NOT_TEXT
    return bytes(raw) if length <= BODY_MAX_BYTES else None


def serve(options: SandboxOptions, host: str = "127.0.0.1", port: int = 8190) -> None:
    """Run a sandbox until SIGINT or SIGTERM; print one line with its origin when it listens.

    Port 0 picks a free one. Where controls need a token that the options do not name, a second line
    prints it. OSError when it cannot listen there.
    """
    asyncio.run(_serve(options, host, port))


async def _serve(options: SandboxOptions, host: str, port: int) -> None:
    sandbox = Sandbox(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    previous = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        await sandbox.start(host, port)
        _say(f"Kling sandbox listens on {sandbox.origin}")
        if sandbox.token is not None and options.token is None:
            _say(f"X-Sandbox-Token: {sandbox.token}")
        await stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        await sandbox.stop()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
