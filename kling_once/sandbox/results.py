"""Results: rendered once, at the first download, and served by Range; with the faults of a download."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web

from .connection import CHUNK_BYTES, respond, slowly
from .faults import OK, instead_of_answer, take_fault
from .options import load_settings
from .rules import STORED_SECONDS
from .tasks import find_result

if TYPE_CHECKING:
    from pathlib import Path

    from .faults import Fault
    from .files import Files
    from .options import SandboxOptions
    from .store import Store
    from .tasks import Task

PRIVATE_URL: Final = "http://10.0.0.1/private.mp4"
ZEROS: Final = bytes(CHUNK_BYTES)


class Results:
    """Serve `/sandbox/results/<task id>/<name that cannot be guessed>.mp4`.

    Args:
        options: what the sandbox was started with.
        store: the state.
        files: reference files and results.
    """

    def __init__(self, options: SandboxOptions, store: Store, files: Files) -> None:
        self._options = options
        self._store = store
        self._files = files
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="kling-sandbox-render")
        self._rendering: dict[str, asyncio.Future[None]] = {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Stop rendering; an unfinished result is rendered again at the next download."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one download."""
        name = request.match_info["name"]
        task = await self._store.read(find_result, name)
        if task is None or task.task_id != request.match_info["task_id"]:
            return web.Response(status=404, text="There is no such result.")
        fault = OK
        if request.method == "GET":
            fault = await self._store.write(take_fault, "result")
        spoiled = await self._spoiled(request, fault)
        if spoiled is not None:
            return spoiled
        if self._options.now() - task.created_ms / 1000 > STORED_SECONDS:
            return web.Response(status=404, text="This result was cleared after 30 days.")
        path = await self.path_of(task, watermark=name == task.watermark_name)
        return await _send(request, path, fault)

    async def path_of(self, task: Task, *, watermark: bool) -> Path:
        """Return the file of a result, rendered first where it does not exist; single flight by name."""
        path = self._files.results / f"{task.watermark_name if watermark else task.result_name}.mp4"
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
        settings = await self._store.read(load_settings, self._options)

        def work() -> bool:
            from .render import Recipe, Stopped, render  # noqa: PLC0415 - heavy, needed only here

            recipe = Recipe(
                task_id=task.task_id,
                picture=self._files.folder / task.picture,
                clip=self._files.folder / task.clip,
                frames=task.frames,
                mode=task.mode,
                sound=task.sound,
                watermark=watermark,
                quick=settings.quick_results,
            )
            try:
                render(recipe, path, self._stop.is_set)
            except Stopped:
                return False
            self._files.touch(path)
            return True

        if not await asyncio.get_running_loop().run_in_executor(self._threads, work):
            raise web.HTTPServiceUnavailable(text="The sandbox is stopping.")

    async def _spoiled(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        if fault.kind == "stall-S":
            await asyncio.sleep(fault.number)
        reply = instead_of_answer(fault, "result")
        if reply is not None:
            # a file server answers no envelope
            return respond(request, replace(reply, body=b"") if isinstance(reply.body, dict) else reply)
        match fault.kind:
            case "expired-url":
                return web.Response(status=403, text="This link has expired.")
            case "redirect-private":
                return web.Response(status=302, headers={"Location": PRIVATE_URL})
            case "not-a-video":
                text = b"This is a text that says it is a video.\n" * 100
                return web.Response(body=text, content_type="video/mp4")
        return None


async def _send(request: web.Request, path: Path, fault: Fault) -> web.StreamResponse:
    match fault.kind:
        case "broken-stream-after-N":
            return await _cut(request, path, int(fault.number))
        case "endless-stream":
            return await _endless(request, path)
        case "trickle-S":
            content = await asyncio.to_thread(path.read_bytes)
            return web.Response(body=slowly(content, fault.number), content_type="video/mp4")
        case _:
            return web.FileResponse(path, headers={"Content-Type": "video/mp4"})


async def _endless(request: web.Request, path: Path) -> web.StreamResponse:
    """Send the video and then zeros until the client hangs up."""
    response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(await asyncio.to_thread(path.read_bytes))
        while True:
            await response.write(ZEROS)
            await asyncio.sleep(0)
    return response


async def _cut(request: web.Request, path: Path, body_bytes: int) -> web.StreamResponse:
    """Announce the whole file (or the range asked for), send `body_bytes` bytes and hang up."""
    content = await asyncio.to_thread(path.read_bytes)
    try:
        asked = content[request.http_range]
    except ValueError:
        asked = b""
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
    for begin in range(0, len(sent), CHUNK_BYTES):
        await response.write(sent[begin : begin + CHUNK_BYTES])
    if len(sent) < len(asked) and request.transport is not None:
        request.transport.close()
    return response
