"""The small HTTP server behind a tunnel: signed files by Range, callbacks, and nothing else.

It has no routes to list and no framework's defaults: the raw path either is one that we made, or
there is nothing there. Neither it nor aiohttp writes a path into any log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from ..errors import HostingError
from .signed_path import (
    CALLBACK_PATH,
    FILE_PATH,
    LARGEST_BODY_BYTES,
    PROOF_PATH,
    CallbackCheck,
    SignedPaths,
    named_task,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ..clock import Clock
    from .gateway_files import FileTable

logger = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
BODY_SECONDS = 15.0
KEEPALIVE_SECONDS = 75.0
SHUTDOWN_SECONDS = 3.0
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "kling-once",
}


def _silent_logger() -> logging.Logger:
    """Return a logger that writes nothing: aiohttp quotes what it could not parse, path and all."""
    logger = logging.Logger(f"{__name__}.wire")  # noqa: LOG001 - kept out of the tree, where a handler would find it
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


class GatewayServer:
    """Listen on one loopback port."""

    def __init__(
        self,
        *,
        port: int,
        prefix: str,
        paths: SignedPaths,
        table: FileTable,
        files: Path,
        callbacks: CallbackCheck,
        clock: Clock,
    ) -> None:
        """Prepare to listen.

        Args:
            port: loopback port; 0 takes a free one.
            prefix: the path of the public address, which a proxy may or may not cut off; empty or `/name`.
            paths: makes and reads the signed paths.
            table: which files are published.
            files: the folder they lie in.
            callbacks: tells genuine callbacks from forged ones.
            clock: for expiry.
        """
        self.port = port
        self._prefix = prefix
        self._paths = paths
        self._table = table
        self._files = files
        self._callbacks = callbacks
        self._clock = clock
        self._runner: web.ServerRunner | None = None

    @property
    def running(self) -> bool:
        """Tell whether this object holds the port."""
        return self._runner is not None

    async def start(self) -> None:
        """Take the port.

        Raises:
            OSError: it is taken, or may not be used.
        """
        server = web.Server(
            self._answer,
            access_log=None,
            logger=_silent_logger(),
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, self.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self.port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Give the port back; answers under way get three seconds."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._route(request)
        except HostingError as error:
            logger.warning("The gateway cannot answer: %s", error)
            response = _plain(503)
        response.headers.update(HEADERS)
        if response.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
            response.force_close()
        return response

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(request.headers.getall("Host", [])) != 1:
            return _plain(400)
        path = request.raw_path.removeprefix(self._prefix)
        reading = request.method in {"GET", "HEAD"}
        if FILE_PATH.fullmatch(path):
            return await self._file(path) if reading else _plain(405, Allow="GET, HEAD")
        if CALLBACK_PATH.fullmatch(path) and self._paths.is_callback(path):
            return await self._callback(request) if request.method == "POST" else _plain(405, Allow="POST")
        if proof := PROOF_PATH.fullmatch(path):
            return self._proof(proof[1]) if reading else _plain(405, Allow="GET, HEAD")
        return _plain(404 if reading or request.method == "POST" else 405)

    async def _file(self, path: str) -> web.StreamResponse:
        grant = self._paths.read(path)
        if grant is None or grant.expires_at <= self._clock.now().timestamp():
            return _plain(403)
        file = await asyncio.to_thread(self._table.get, grant.digest)
        if file is None:
            return _plain(404)
        kept = self._files / f"{file.digest}.mp4"
        try:
            found = kept.stat()
        except OSError:
            return _plain(410)
        if (found.st_size, found.st_mtime_ns) != (file.size_bytes, file.modified_ns):
            return _plain(410)
        return web.FileResponse(kept, headers={"Content-Type": file.content_type})

    def _proof(self, nonce: str) -> web.Response:
        return web.Response(text=self._paths.proof(nonce, self.port))

    async def _callback(self, request: web.BaseRequest) -> web.Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return _plain(408)
        if body is None:
            return _plain(413)
        if not self._callbacks.is_genuine(request.headers, body):
            logger.warning("A callback was not signed with the configured secret; it changes nothing.")
            return _plain(401)
        try:
            task_id = named_task(body)
        except ValueError:
            return _plain(400)
        if task_id is not None:
            await asyncio.to_thread(self._table.add_hint, task_id, self._clock.now)
        return web.json_response({})


async def _body(request: web.BaseRequest) -> bytes | None:
    """Read a body of at most 64 KB; None for a longer one, of which no more is read."""
    if (request.content_length or 0) > LARGEST_BODY_BYTES:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            return None
    return bytes(body)


def _plain(status: int, **headers: str) -> web.Response:
    return web.Response(status=status, headers=headers)
