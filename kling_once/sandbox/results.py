"""Results: rendered at the first download, once, and served by Range; with the faults of a download."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from aiohttp import web

from .faults import (
    OK,
    Fault,
    instead_of_answer,
    take_fault,
)
from .files import Stopped
from .options import load_settings
from .tasks import find_result

if TYPE_CHECKING:
    from pathlib import Path

    from .backend import Backend
    from .tasks import Task


STORED_SECONDS: Final = 30 * 86_400
"""Generated videos are cleared after 30 days, says the page."""

PRIVATE_URL: Final = "http://10.0.0.1/private.mp4"
ENDLESS_PIECE: Final = bytes(1 << 16)


class Results:
    """Serve `/sandbox/results/<task id>/<unguessable name>.mp4`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="kling-sandbox-render")
        self._rendering: dict[str, asyncio.Future[None]] = {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Give up what is being rendered; it is rendered anew at the next download."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one download."""
        name = request.match_info["name"]
        task = await self._backend.store.read(find_result, name)
        if task is None or task.task_id != request.match_info["task_id"]:
            return web.Response(status=404, text="There is no such result.")
        fault = OK
        if request.method == "GET":
            fault = await self._backend.store.write(take_fault, "result")
        spoiled = await self._spoiled(request, fault)
        if spoiled is not None:
            return spoiled
        if self._backend.options.now() - task.created_ms / 1000 > STORED_SECONDS:
            return web.Response(status=404, text="This result was cleared after 30 days.")
        path = await self.path_of(task, watermark=name == task.watermark_name)
        if fault.kind == "broken-stream-after-N":
            return await cut(request, path, int(fault.number))
        if fault.kind == "endless-stream":
            return await _endless(request, path)
        return web.FileResponse(path, headers={"Content-Type": "video/mp4"})

    async def path_of(self, task: Task, *, watermark: bool) -> Path:
        """Give the file of a result, rendering it where it does not exist yet."""
        path = self._backend.files.results / f"{task.watermark_name if watermark else task.result_name}.mp4"
        if path.is_file():
            return path
        running = self._rendering.get(path.name)
        if running is None:
            running = asyncio.ensure_future(self._render(task, path, watermark=watermark))
            self._rendering[path.name] = running
            running.add_done_callback(lambda _: self._rendering.pop(path.name, None))
        await asyncio.shield(running)
        return path

    async def _render(self, task: Task, path: Path, *, watermark: bool) -> None:
        settings = await self._backend.store.read(load_settings, self._backend.options)

        def work() -> None:
            from .render import Recipe, render  # noqa: PLC0415 - heavy, needed only here

            folder = self._backend.folder
            recipe = Recipe(
                task_id=task.task_id,
                picture=folder / task.picture,
                clip=folder / task.clip,
                frames=task.frames,
                mode=task.mode,
                sound=task.sound,
                watermark=watermark,
                quick=settings.quick_results,
            )
            render(recipe, path, self._stop.is_set)
            self._backend.files.touch(path)

        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Stopped:
            raise web.HTTPServiceUnavailable(text="The sandbox is stopping.") from None

    async def _spoiled(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        if fault.kind == "stall-S":
            await asyncio.sleep(fault.number)
        reply = instead_of_answer(fault, "result")
        if reply is not None:
            if reply.status is None:
                return reset(request)
            body = reply.body if isinstance(reply.body, bytes) else b""
            return web.Response(status=reply.status, body=body, content_type=reply.content_type)
        match fault.kind:
            case "expired-url":
                return web.Response(status=403, text="This link has expired.")
            case "redirect-private":
                return web.Response(status=302, headers={"Location": PRIVATE_URL})
            case "not-a-video":
                text = b"This is a text that says it is a video.\n" * 100
                return web.Response(body=text, content_type="video/mp4")
        return None


async def _endless(request: web.Request, path: Path) -> web.StreamResponse:
    """Send the video and then nothing but zeros, until the client hangs up."""
    response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(await asyncio.to_thread(path.read_bytes))
        while True:
            await response.write(ENDLESS_PIECE)
            await asyncio.sleep(0)
    return response


PIECE_BYTES: Final = 1 << 16


def is_gone(request: web.Request) -> bool:
    """Tell whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()


def reset(request: web.Request) -> web.Response:
    """Close the connection with a TCP reset; the response returned is never sent."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def cut(request: web.Request, path: Path, body_bytes: int) -> web.StreamResponse:
    """Promise the whole file (or the range asked for), send that many bytes and hang up."""
    content = await asyncio.to_thread(path.read_bytes)
    try:
        asked = content[request.http_range]
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    if not asked:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    partial = "Range" in request.headers
    start = (request.http_range.start or 0) % len(content) if partial else 0
    headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "Content-Length": str(len(asked))}
    if partial:
        headers["Content-Range"] = f"bytes {start}-{start + len(asked) - 1}/{len(content)}"
    response = web.StreamResponse(status=206 if partial else 200, headers=headers)
    await response.prepare(request)
    sent = asked[:body_bytes]
    for begin in range(0, len(sent), PIECE_BYTES):
        await response.write(sent[begin : begin + PIECE_BYTES])
    if len(sent) < len(asked) and request.transport is not None:
        request.transport.close()
    return response
