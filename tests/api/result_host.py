"""What the host of a result answers, the links that lead there, and what has arrived of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 4000


def ranged(request: web.Request, content: bytes = CONTENT) -> web.Response:
    """Answer as a CDN does."""
    asked = request.headers.get("Range")
    if asked is None:
        return web.Response(body=content)
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(content):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    described = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
    return web.Response(status=206, body=content[start:], headers=described)


async def whole(request: web.Request) -> web.StreamResponse:
    return ranged(request)


def link(server: Any, path: str = "/result.mp4?sig=geheim") -> str:
    return server.origin + path


def content_of(part: Path) -> bytes | None:
    return part.read_bytes() if part.exists() else None
