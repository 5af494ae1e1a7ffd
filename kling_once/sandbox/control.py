"""The controls under `/sandbox/`: calls, faults, transitions, settings, uploads."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from .calls import list_calls
from .connection import (
    CHUNK_BYTES,
    is_loopback,
    origin_of,
    read_body,
    reset,
)
from .elements import preset_picture
from .faults import list_faults, read_script, replace_script
from .files import UPLOAD_MAX_BYTES, TooLarge
from .options import (
    SETTINGS,
    Transitions,
    load_settings,
    read_changes,
    save_settings,
)
from .store import forget
from .wire import Refusal, parse_body, same

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .files import Files
    from .options import SandboxOptions
    from .store import Store

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

VERSION: Final = "1"
"""Version of the controls, as `GET /sandbox/health` answers it."""

CONTROL_MAX_BYTES: Final = 1_000_000


class Control:
    """Answer the controls.

    Args:
        options: what the sandbox was started with.
        store: the state.
        files: uploads and results.
        token: value of `X-Sandbox-Token`; None means that programs on this machine need none.
    """

    def __init__(
        self,
        options: SandboxOptions,
        store: Store,
        files: Files,
        token: str | None,
    ) -> None:
        self._options = options
        self._store = store
        self._files = files
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; all but health and downloads of uploads are guarded."""
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
        """Answer what this server is."""
        return web.json_response({"sandbox": "kling-once", "version": VERSION})

    async def upload(self, request: web.Request) -> web.Response:
        """Keep the raw body; answer its URL, size and SHA-256."""
        chunks = request.content.iter_chunked(CHUNK_BYTES)
        try:
            if (request.content_length or 0) > UPLOAD_MAX_BYTES:
                raise TooLarge  # noqa: TRY301 - before anything is read
            kept = await self._files.keep(self._files.uploads, chunks, UPLOAD_MAX_BYTES)
        except TooLarge:
            return _refused(413, f"an upload holds at most {UPLOAD_MAX_BYTES} bytes")
        url = f"{origin_of(request)}/sandbox/files/{kept.name}"
        return web.json_response({"url": url, "size": kept.size_bytes, "digest": kept.digest})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Serve an upload by Range."""
        path = await asyncio.to_thread(self._files.find_upload, request.path)
        if path is None:
            return _refused(404, "there is no such upload")
        return web.FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    async def element_material(self, request: web.Request) -> web.StreamResponse:
        """Serve a picture or a clip that an element was made of; its name cannot be guessed."""
        name = request.match_info["name"]
        drawn = await asyncio.to_thread(preset_picture, name)
        if drawn is not None:
            return web.Response(body=drawn, content_type="image/png")
        places = [folder / name for folder in (self._files.references, self._files.uploads)]
        is_name = re.fullmatch(r"[0-9a-f]{40}\.[a-z0-9]{3}", name)
        path = await asyncio.to_thread(lambda: next(filter(Path.is_file, places), None)) if is_name else None
        if path is None:
            return _refused(404, "there is no such material")
        return web.FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    async def calls(self, _request: web.Request) -> web.Response:
        """Answer every vendor call that is logged."""
        return web.json_response({"calls": await self._store.read(list_calls)})

    async def faults(self, _request: web.Request) -> web.Response:
        """Answer which faults are pending and which were met."""
        return web.json_response(await self._store.read(list_faults))

    async def script_faults(self, request: web.Request) -> web.Response:
        """Replace the pending script of one endpoint."""
        endpoint, script = read_script(await _json(request))
        await self._store.write(replace_script, endpoint, script)
        return await self.faults(request)

    async def transitions(self, _request: web.Request) -> web.Response:
        """Answer the policy by which tasks change their status."""
        return web.json_response((await self._settings()).transitions.to_json())

    async def change_transitions(self, request: web.Request) -> web.Response:
        """Change that policy, also for tasks under way."""
        body = await _json(request)
        Transitions.from_json(body)
        await self._store.write(save_settings, {"transitions": body})
        return await self.transitions(request)

    async def settings(self, _request: web.Request) -> web.Response:
        """Answer every setting."""
        settings = await self._settings()
        shown = {name: getattr(settings, name.replace("-", "_")) for name in SETTINGS}
        return web.json_response(shown | {"transitions": settings.transitions.to_json()})

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change the settings that the body names."""
        changes = read_changes(await _json(request))
        await self._store.write(save_settings, changes)
        return await self.settings(request)

    async def reset(self, _request: web.Request) -> web.Response:
        """Delete tasks, calls, faults, settings and results; uploads stay."""
        await self._store.write(forget)
        await asyncio.to_thread(self._files.clear_results)
        return web.json_response({"reset": True})

    async def unknown(self, request: web.Request) -> web.Response:
        """Refuse a path or method that is no control."""
        return _refused(404, f"there is no {request.method} {request.path[:100]}")

    async def _settings(self) -> SandboxOptions:
        return await self._store.read(load_settings, self._options)

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
                return _refused(400, str(error))

        return guard

    def _wrong_caller(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a caller without the token or, where none is needed, of a web page (CSRF)."""
        if self._token is not None:
            if same(request.headers.get("X-Sandbox-Token", ""), self._token):
                return None
            return _refused(401, "this path needs the header X-Sandbox-Token")
        if "Origin" in request.headers or not is_loopback(urlsplit(f"//{request.host}").hostname):
            return _refused(403, "without a token the controls answer programs on this machine only")
        return None


def _refused(status: int, message: str) -> web.Response:
    """Return a control's error."""
    return web.json_response({"error": message}, status=status, reason=HTTPStatus(status).phrase)


async def _json(request: web.Request) -> Any:
    body = await read_body(request, CONTROL_MAX_BYTES)
    if body is None:
        raise ValueError("the body is too large")
    try:
        return parse_body(body)
    except Refusal as refusal:
        raise ValueError(refusal.message) from None
