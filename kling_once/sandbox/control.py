"""The controls under `/sandbox/`: calls, faults, transitions, settings, uploads."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from .faults import list_faults, read_script, replace_script
from .fetch import is_loopback
from .files import UPLOAD_MAX_BYTES, TooLarge
from .options import (
    VERSION,
    Transitions,
    load_settings,
    read_changes,
    save_settings,
)
from .results import reset
from .store import list_calls
from .wire import Refusal, parse_body, same

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

    from .backend import Backend

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTROL_MAX_BYTES = 1_000_000


class Control:
    """Answer the controls; `token` None means that this machine may use them without one."""

    def __init__(self, backend: Backend, token: str | None) -> None:
        self._backend = backend
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        """List the paths; all but health and downloads of uploads are guarded."""
        guarded = self._guarded
        return [
            web.get("/sandbox/health", self.health),
            web.get("/sandbox/files/{name}", self.download),
            web.post("/sandbox/files", guarded(self.upload)),
            web.get("/sandbox/calls", guarded(self.calls)),
            web.get("/sandbox/faults", guarded(self.faults)),
            web.post("/sandbox/faults", guarded(self.script_faults)),
            web.get("/sandbox/transitions", guarded(self.transitions)),
            web.put("/sandbox/transitions", guarded(self.change_transitions)),
            web.get("/sandbox/settings", guarded(self.settings)),
            web.put("/sandbox/settings", guarded(self.change_settings)),
            web.post("/sandbox/reset", guarded(self.reset)),
            web.route("*", "/sandbox{tail:.*}", guarded(self.unknown)),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """Say what this server is."""
        return web.json_response({"sandbox": "kling-once", "version": VERSION})

    async def upload(self, request: web.Request) -> web.Response:
        """Keep a raw body; answer its URL, size and SHA-256."""
        files = self._backend.files
        if (request.content_length or 0) > UPLOAD_MAX_BYTES:
            return refused(413, f"an upload holds at most {UPLOAD_MAX_BYTES} bytes")
        chunks = request.content.iter_chunked(1 << 16)
        try:
            kept = await files.keep(files.uploads, chunks, UPLOAD_MAX_BYTES)
        except TooLarge:
            return refused(413, f"an upload holds at most {UPLOAD_MAX_BYTES} bytes")
        url = f"{origin_of(request, self._backend.origin)}/sandbox/files/{kept.name}"
        return web.json_response({"url": url, "size": kept.size_bytes, "digest": kept.digest})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Serve an upload by Range."""
        path = await asyncio.to_thread(self._backend.files.find_upload, request.path)
        if path is None:
            return refused(404, "there is no such upload")
        return web.FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    async def calls(self, _request: web.Request) -> web.Response:
        """List every vendor call."""
        return web.json_response({"calls": await self._backend.store.read(list_calls)})

    async def faults(self, _request: web.Request) -> web.Response:
        """Tell which faults wait and which were met."""
        return web.json_response(await self._backend.store.read(list_faults))

    async def script_faults(self, request: web.Request) -> web.Response:
        """Replace the script of one endpoint."""
        endpoint, script = read_script(await _json(request))
        await self._backend.store.write(replace_script, endpoint, script)
        return await self.faults(request)

    async def transitions(self, _request: web.Request) -> web.Response:
        """Tell how tasks move on."""
        settings = await self._backend.store.read(load_settings, self._backend.options)
        return web.json_response(settings.transitions.to_json())

    async def change_transitions(self, request: web.Request) -> web.Response:
        """Say how tasks move on, those under way included."""
        body = await _json(request)
        Transitions.from_json(body)
        await self._backend.store.write(save_settings, {"transitions": body})
        return await self.transitions(request)

    async def settings(self, _request: web.Request) -> web.Response:
        """Tell every switch."""
        settings = await self._backend.store.read(load_settings, self._backend.options)
        return web.json_response(settings.to_json())

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change the switches that are named."""
        changes = read_changes(await _json(request))
        await self._backend.store.write(save_settings, changes)
        return await self.settings(request)

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget tasks, calls, faults, switches and results; uploads stay."""
        await self._backend.store.write(_forget)
        await asyncio.to_thread(self._backend.files.clear_results)
        return web.json_response({"reset": True})

    async def unknown(self, request: web.Request) -> web.Response:
        """Refuse what is no control."""
        return refused(404, f"there is no {request.method} {request.path[:100]}")

    def _guarded(self, handler: Handler) -> Handler:
        async def guard(request: web.Request) -> web.StreamResponse:
            wrong = self._wrong_caller(request)
            if wrong is not None:
                return wrong
            try:
                return await handler(request)
            except ConnectionError:
                return reset(request)
            except ValueError as error:
                return refused(400, str(error))

        return guard

    def _wrong_caller(self, request: web.Request) -> web.Response | None:
        """Refuse a caller without the token; without one, a web page that reaches for this machine."""
        if self._token is not None:
            if same(request.headers.get("X-Sandbox-Token", ""), self._token):
                return None
            return refused(401, "this path needs the header X-Sandbox-Token")
        if "Origin" in request.headers or not is_loopback(urlsplit(f"//{request.host}").hostname):
            return refused(403, "without a token the controls answer programs on this machine only")
        return None


def refused(status: int, message: str) -> web.Response:
    """Answer a control's error."""
    return web.json_response({"error": message}, status=status, reason=HTTPStatus(status).phrase)


def origin_of(request: web.Request, own: str) -> str:
    """Give the origin that the client called, where its Host header is one."""
    host = request.headers.get("Host", "")
    try:
        parts = urlsplit(f"//{host}")
        valid = bool(parts.hostname) and parts.netloc == host and "@" not in host and host.isascii()
        _ = parts.port
    except ValueError:
        valid = False
    return f"http://{host}" if valid and not any(sign in host for sign in " \"'<>\\") else own


async def _json(request: web.Request) -> Any:
    raw = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > CONTROL_MAX_BYTES:
            raise ValueError("the body is too large")
    try:
        return parse_body(bytes(raw))
    except Refusal as refusal:
        raise ValueError(refusal.message) from None


def _forget(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM tasks")
    connection.execute("DELETE FROM calls")
    connection.execute("DELETE FROM scripts")
    connection.execute("DELETE FROM settings WHERE name != 'secret'")
    connection.execute("DELETE FROM sqlite_sequence")
