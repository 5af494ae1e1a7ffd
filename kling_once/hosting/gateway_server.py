"""The HTTP server behind a tunnel: signed paths to files by Range, callbacks, and nothing else.

It uses aiohttp's low-level server, without routes and defaults: a raw path either was made from our secret
or gives an error without a body. Neither this module nor aiohttp writes a path into any log.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import re
import secrets
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import filelock
from aiohttp import web

from ..errors import HostingError
from ..files import kept_value
from .gateway_files import lock_error

if TYPE_CHECKING:
    from pathlib import Path

    from ..clock import Clock
    from .callbacks import Callbacks
    from .gateway_files import GatewayTable

logger = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
BODY_SECONDS = 15.0
LARGEST_BODY_BYTES = 64 * 1024
KEEPALIVE_SECONDS = 75.0
SHUTDOWN_SECONDS = 3.0
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "kling-once",
}

FILE_PATH = re.compile(r"/ko/([A-Za-z0-9_-]{92})\.mp4")
CALLBACK_PATH = re.compile(r"/ko/callback/([0-9a-f]{64})")
SECRET = re.compile(r"[0-9a-f]{64}")
TOKEN = struct.Struct(">BI32s")
"""Version, expiry in Unix seconds (until 2106), digest; 32 bytes of HMAC-SHA256 follow."""
TOKEN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """What a genuine path allows: reading one file until it expires."""

    digest: str
    expires_at: int
    """Unix seconds."""


class SignedPaths:
    """Make and verify the paths that only a holder of the home's secret can make.

    Each purpose has a key of its own, derived from the secret, so a path made for one tells nothing about
    another.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of_folder(cls, folder: Path) -> SignedPaths:
        """Use the secret stored in `folder`, which the first process creates.

        Raises:
            HostingError: it cannot be read or created.
        """
        value = kept_value(folder / "secret", lambda: secrets.token_hex(32), SECRET)
        return cls(bytes.fromhex(value))

    def __repr__(self) -> str:
        return "SignedPaths(secret=***)"

    def file_path(self, grant: Grant) -> str:
        """Return the path that serves one file until the grant expires."""
        body = TOKEN.pack(TOKEN_VERSION, grant.expires_at, bytes.fromhex(grant.digest))
        token = base64.urlsafe_b64encode(body + self._mac("file", body)).decode()
        return f"/ko/{token}.mp4"

    def read(self, path: str) -> Grant | None:
        """Return the grant of a path, expired or not; None for a path that was not made with this secret."""
        match = FILE_PATH.fullmatch(path)
        if not match:
            return None
        raw = base64.urlsafe_b64decode(match[1])  # 92 characters of its alphabet: it cannot fail
        body, mac = raw[: TOKEN.size], raw[TOKEN.size :]
        if not hmac.compare_digest(mac, self._mac("file", body)):
            return None
        version, expires_at, digest = TOKEN.unpack(body)
        return Grant(digest.hex(), expires_at) if version == TOKEN_VERSION else None

    def callback_path(self) -> str:
        """Return the one path that accepts callbacks."""
        return f"/ko/callback/{self._mac('callback', b'').hex()}"

    def is_callback(self, path: str) -> bool:
        """Tell whether a path is `callback_path`; constant time."""
        return hmac.compare_digest(path.encode(errors="surrogateescape"), self.callback_path().encode())

    def _mac(self, use: str, message: bytes) -> bytes:
        key = hmac.digest(self._secret, b"kling-once gateway " + use.encode(), hashlib.sha256)
        return hmac.digest(key, message, hashlib.sha256)


class GatewayServer:
    """Listen on one loopback port, in one process of the home at a time.

    An advisory lock in the gateway's folder, one file per port, tells the processes of a home which of them
    listens. The operating system releases it when its process ends, however that happens.
    """

    def __init__(
        self,
        *,
        port: int,
        prefix: str,
        folder: Path,
        paths: SignedPaths,
        table: GatewayTable,
        callbacks: Callbacks,
        clock: Clock,
    ) -> None:
        """Prepare to listen.

        Args:
            port: loopback port; 0 takes a free one, which no other process can want.
            prefix: path of the public address, which a proxy may or may not cut off; empty or `/name`.
            folder: the gateway's folder; published files lie in its `files` folder.
            paths: verifies signed paths.
            table: which files are published.
            callbacks: takes the bodies that arrive at the callback path.
            clock: for expiry.
        """
        self.port = port
        self._prefix = prefix
        self._folder = folder
        self._paths = paths
        self._table = table
        self._callbacks = callbacks
        self._clock = clock
        self._runner: web.ServerRunner | None = None
        self._lock: filelock.BaseFileLock | None = None

    @property
    def running(self) -> bool:
        """Tell whether this object listens on the port."""
        return self._runner is not None

    async def start(self) -> None:
        """Listen, unless another process of this home listens on the port already.

        Raises:
            OSError: the port is taken by another program, or may not be used.
            HostingError: the gateway's folder cannot be locked.
        """
        if not self._lock_port():
            return
        server = web.Server(
            self._answer,
            access_log=None,
            logger=_silent_logger(),
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
        try:
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, self.port).start()
        except BaseException:
            await runner.cleanup()
            self._unlock_port()
            raise
        self.port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Release the port, then give running answers three seconds to end."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        self._unlock_port()  # only now: whoever takes the lock finds the port free
        await runner.cleanup()

    def _lock_port(self) -> bool:
        if self.port == 0:
            return True
        path = self._folder / f"port-{self.port}.lock"
        lock = filelock.FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise lock_error(self._folder, error) from None
        self._lock = lock
        return True

    def _unlock_port(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._route(request)
        except HostingError as error:
            logger.warning("The gateway cannot answer: %s", error)
            response = _plain(503)
        response.headers.update(HEADERS)
        if response.status >= HTTPStatus.BAD_REQUEST:
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
        return _plain(404 if reading or request.method == "POST" else 405)

    async def _file(self, path: str) -> web.StreamResponse:
        grant = self._paths.read(path)
        if grant is None or grant.expires_at <= self._clock.now().timestamp():
            return _plain(403)
        file = await asyncio.to_thread(self._table.get, grant.digest)
        if file is None:
            return _plain(404)
        kept = self._folder / "files" / f"{file.digest}.mp4"
        try:
            found = kept.stat()
        except OSError:
            return _plain(410)
        if (found.st_size, found.st_mtime_ns) != (file.size_bytes, file.modified_ns):
            return _plain(410)
        return web.FileResponse(kept, headers={"Content-Type": file.content_type})

    async def _callback(self, request: web.BaseRequest) -> web.Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return _plain(408)
        if body is None:
            return _plain(413)
        status = await self._callbacks.take(request.headers, body)
        return web.json_response({}) if status == HTTPStatus.OK else _plain(status)


async def _body(request: web.BaseRequest) -> bytes | None:
    """Return the body, or None when it is longer than 64 KB; reading stops there."""
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


def _silent_logger() -> logging.Logger:
    """Return a logger that discards everything: aiohttp quotes requests it could not parse, path and all."""
    logger = logging.Logger(f"{__name__}.wire")  # noqa: LOG001 - outside the tree, where no handler finds it
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
