"""The HTTP connection under a request: its origin, its body, and how it is answered or reset."""

from __future__ import annotations

import contextlib
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from .wire import Reply

CHUNK_BYTES: Final = 1 << 16
"""How much is read from or written to a socket at a time."""


def is_loopback(host: str | None) -> bool:
    """Return whether a host is `localhost` or a loopback address, without a DNS lookup."""
    if host is None:
        return False
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin_of(request: web.Request) -> str:
    """Return the origin that the client addressed, or the server's own without a usable Host header."""
    host = request.headers.get("Host", "")
    try:
        parts = urlsplit(f"//{host}")
        valid = bool(parts.hostname) and parts.netloc == host and "@" not in host and host.isascii()
        _ = parts.port
    except ValueError:
        valid = False
    if not valid or any(sign in host for sign in " \"'<>\\"):
        address, port, *_ = request.get_extra_info("sockname")
        return origin_at(address, port)
    return f"http://{host}"


def origin_at(host: str, port: int) -> str:
    """Return the origin of a server that listens on a host and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def read_body(request: web.Request, limit_bytes: int, drain_bytes: int = 0) -> bytes | None:
    """Read a request body.

    Args:
        request: the request.
        limit_bytes: the longest body that is returned; None stands for a longer one.
        drain_bytes: how far an oversized body is read all the same. A client that is still sending
            when the connection closes may see a reset instead of the answer.

    Raises:
        ConnectionError: the client hung up.
        web.RequestPayloadError: the transfer encoding is broken.
    """
    body, length = bytearray(), 0
    async for chunk in request.content.iter_chunked(CHUNK_BYTES):
        length += len(chunk)
        if length <= limit_bytes:
            body += chunk
        elif length > drain_bytes:
            break
    return bytes(body) if length <= limit_bytes else None


def respond(request: web.Request, reply: Reply) -> web.Response:
    """Turn a reply into an HTTP response, or reset the connection where the reply says so."""
    if reply.status is None:
        return reset(request)
    if isinstance(reply.body, dict):
        return web.json_response(reply.body, status=reply.status)
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


def reset(request: web.Request) -> web.Response:
    """Close the connection with a TCP reset; the returned response is never sent."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def is_gone(request: web.Request) -> bool:
    """Return whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()
