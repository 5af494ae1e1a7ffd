"""Fetch a published clip the way Kling would, and name the broken hop.

It uses aiohttp, which logs no URL: a presigned URL is a secret.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yarl

from ..errors import HostingError
from ..origins import is_loopback
from .media_host import ClipNotThere

if TYPE_CHECKING:
    from pathlib import Path

    from .media_host import HostedFile

PART_BYTES = 64 * 1024
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 20.0
TOTAL_SECONDS = 60.0
SOCKS_HINT = " This check cannot use the SOCKS proxy that the environment names; it went without."
NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
BEHIND_IS_DOWN = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530})
"""Statuses that proxies give when the server behind them does not answer; Cloudflare's are 520 and up."""

NETWORK_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "the proxy that HTTPS_PROXY names does not let the request through",
    ),
    ((aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch), "its TLS certificate is not accepted"),
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), "its host name is not known (DNS)"),
    ((TimeoutError,), "it does not answer in time"),
    (
        (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, ConnectionResetError),
        "it cuts the connection",
    ),
    ((aiohttp.ClientResponseError,), "what it answers is not HTTP"),
    ((aiohttp.ClientConnectionError, OSError), "it cannot be reached"),
)
"""The first row that matches wins, since aiohttp's classes overlap."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop between Kling and the clip, with what to tell people about it."""

    name: str
    """Subject of the sentence, as in "the tunnel"."""
    missing: str
    """Hint when it answers that there is no such file."""
    denied: str
    """Hint when it demands a login or refuses."""
    down: str
    """Hint when it cannot be reached, or nothing answers behind it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A range of bytes of the file; `first` and `last` are inclusive, as in HTTP."""

    first: int
    last: int
    data: bytes


async def check_fetch(url: str, file: HostedFile, hop: Hop) -> None:
    """Fetch the first, a middle and the last part of `url` by Range and compare them with the file.

    Redirects are not followed, because it is not documented that Kling follows them.

    Args:
        url: presigned URL.
        file: the local file that the URL must serve.
        hop: what to tell people when it does not.

    Raises:
        ClipNotThere: the host answers, but has no such file, or another one.
        HostingError: one line that names the hop and what it did, without the URL.
    """
    parts = await asyncio.to_thread(_parts, file.path, file.size_bytes)
    try:
        async with asyncio.timeout(TOTAL_SECONDS), _session(url) as session:
            for part in parts:
                await _check_part(session, url, file, part, hop)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        hint = hop.down + (SOCKS_HINT if _environment_proxy(url).startswith("socks") else "")
        raise HostingError(_line(hop, network_reason(error)), hint=hint) from None


def network_reason(error: Exception) -> str:
    """Return in words why a request got no answer; the text holds no address."""
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "connection refused"
    return next((says for kinds, says in NETWORK_REASONS if isinstance(error, kinds)), "it cannot be asked")


def _line(hop: Hop, reason: str) -> str:
    return f"Kling could not fetch the clip: {hop.name}: {reason}."


def _parts(path: Path, size_bytes: int) -> list[Part]:
    starts = sorted({0, max(0, (size_bytes - PART_BYTES) // 2), max(0, size_bytes - PART_BYTES)})
    try:
        with path.open("rb") as file:
            parts = []
            for start in starts:
                file.seek(start)
                data = file.read(min(PART_BYTES, size_bytes - start))
                parts.append(Part(start, start + len(data) - 1, data))
            grown = file.seek(0, 2) != size_bytes
    except OSError as error:
        raise HostingError(f"{path.name} cannot be read any more: {error.strerror}.") from None
    if grown or not size_bytes:
        raise HostingError(f"{path.name} was changed after it was published; run again.")
    return parts


def _session(url: str) -> aiohttp.ClientSession:
    proxy = _environment_proxy(url)
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "kling-once"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        proxy=proxy if proxy.startswith("http://") else None,
    )


def _environment_proxy(url: str) -> str:
    """Return the environment's proxy for a URL, or an empty text; loopback has none."""
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return ""
    named = getproxies()
    proxy = named.get(parts.scheme) or named.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


async def _check_part(
    session: aiohttp.ClientSession, url: str, file: HostedFile, part: Part, hop: Hop
) -> None:
    asked = {"Range": f"bytes={part.first}-{part.last}"}
    async with session.get(yarl.URL(url, encoded=True), headers=asked, allow_redirects=False) as answer:
        if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            reason, hint = _refusal(answer.status, hop)
            kind = ClipNotThere if answer.status in NOT_THERE else HostingError
            raise kind(_line(hop, reason), hint=hint)
        data = await _read(answer, len(part.data) + 1)
        content_type = answer.content_type
        content_range = answer.headers.get("Content-Range", "")
    if answer.status == HTTPStatus.OK and part.first == 0 and data.startswith(part.data[:PART_BYTES]):
        if len(part.data) == file.size_bytes and data == part.data:
            return  # the range covers the whole of a tiny file
        raise HostingError(
            _line(hop, "it does not honour Range and sends the whole file"),
            hint="Let it pass the Range header on.",
        )
    expected_range = f"bytes {part.first}-{part.last}/{file.size_bytes}"
    if answer.status == HTTPStatus.OK or content_range != expected_range or data != part.data:
        raise ClipNotThere(
            _line(hop, f"it answers with other content than the clip (type {_plain(content_type)})"),
            hint=hop.missing,
        )


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    data = b""
    while len(data) < limit:
        chunk = await answer.content.read(limit - len(data))
        if not chunk:
            break
        data += chunk
    return data


def _refusal(status: int, hop: Hop) -> tuple[str, str]:
    if status in BEHIND_IS_DOWN:
        return f"it answers, but what is behind it does not (HTTP {status})", hop.down
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return f"it says that there is no such file (HTTP {status})", hop.missing
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}:
        return f"it denies the access (HTTP {status})", hop.denied
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"it sends the request elsewhere (HTTP {status}), for example to a login page", hop.denied
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return f"its file is shorter than the clip (HTTP {status})", hop.missing
    return f"it refuses (HTTP {status})", hop.denied


def _plain(content_type: str) -> str:
    return "".join(char for char in content_type[:60] if char.isalnum() or char in "/+.-") or "unknown"
