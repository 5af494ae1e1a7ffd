"""Connections that end badly: reset before an answer, or cut in the middle of one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

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
