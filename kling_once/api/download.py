"""Download a result. Its URL comes from outside, so every hop is checked (SSRF)."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import DownloadBroken, DownloadRefused
from ..origins import LOOPBACK_HOSTS, url_parts
from .transport import backoff_seconds, open_client, private_traffic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..clock import Clock

MAX_BYTES: Final = 4 * 1024**3
MAX_REDIRECTS: Final = 5
ATTEMPTS: Final = 5
TIMEOUT: Final = httpx.Timeout(60.0, connect=15.0)
LONGEST_PAUSE_SECONDS: Final = 20.0
CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-[0-9]+/(?:[0-9]+|\*)")

REFUSED: Final = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/4",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
)
"""Unspecified, private (RFC 1918), loopback, link-local, multicast and unique local addresses."""

PROXY_CLIENT_ADDRESSES: Final = (ip_network("198.18.0.0/15"), ip_network("fdfe:dcba:9876::/64"))
"""The fake addresses that the DNS of local proxy clients gives for public hosts."""


def is_refused(address: str, *, loopback_allowed: bool) -> bool:
    """Tell whether a download must not use a connection to this IP address."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if loopback_allowed and ip.is_loopback:
        return False
    if any(ip in network for network in PROXY_CLIENT_ADDRESSES):
        return False
    return any(ip in network for network in REFUSED)


def is_proxied(scheme: str, host: str) -> bool:
    """Tell whether requests to this host go through the environment's proxy; loopback never does."""
    if host in LOOPBACK_HOSTS:
        return False
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


class LinkExpired(DownloadBroken):
    """The host refuses the link; getting the task from Kling again gives a new one."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The result's host refuses the link (HTTP {status}).", hint=_HINT)
        self.is_missing = status in {404, 410}
        """The host says that there is no such file, and not that this link may not read it."""


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """What a download may connect to, and how large it may be."""

    loopback_allowed: bool
    """Allow plain http and loopback addresses: results of a sandbox on this machine."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that may resolve to private addresses (KLING_ONCE_ALLOW_HOSTS)."""
    max_bytes: int = MAX_BYTES


@dataclass
class Download:
    """The download of one result into a `.part` file."""

    part: Path
    policy: DownloadPolicy
    clock: Clock
    on_bytes: Callable[[int, int | None], None] = field(default=lambda done, total: None)  # noqa: ARG005 - a callback's shape
    """Called with the bytes so far and the whole size in bytes, None while it is not known."""

    async def fetch(self, url: str, *, pause_seconds: float = 1.0) -> None:
        """Write the whole file to `part`, resuming by Range after a broken connection.

        What `part` holds already is kept and resumed.

        Args:
            url: the result's link.
            pause_seconds: pause after the first attempt that brought no byte; doubled after each attempt.

        Raises:
            DownloadRefused: an address, scheme, size or redirect that is not allowed.
            LinkExpired: the host answers 401, 403, 404 or 410.
            DownloadBroken: five attempts did not bring the whole file.
            OSError: `part` cannot be written.
        """
        for attempt in range(ATTEMPTS):
            before = self._have()
            try:
                async with open_client(timeout=TIMEOUT) as http:
                    with private_traffic():
                        await self._follow(http, url)
            except (DownloadRefused, LinkExpired):
                raise
            except (httpx.InvalidURL, UnicodeError):
                raise DownloadRefused("The result's address cannot be read.", hint=_HINT) from None
            except (DownloadBroken, httpx.HTTPError, ConnectionError, ssl.SSLError) as error:
                if attempt == ATTEMPTS - 1:
                    raise self._broken(error) from None
                if self._have() == before:
                    await self.clock.sleep(
                        backoff_seconds(pause_seconds, attempt + 1, longest_seconds=LONGEST_PAUSE_SECONDS)
                    )
            else:
                return

    async def _follow(self, http: httpx.AsyncClient, url: str) -> None:
        for _ in range(MAX_REDIRECTS + 1):
            self._check_url(url)
            have = self._have()
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            extensions = {"trace": self._check_connection(url)}
            async with http.stream("GET", url, headers=headers, extensions=extensions) as response:
                if response.has_redirect_location:
                    url = _joined(url, response.headers["Location"])
                    continue
                await self._receive(response, have)
                return
        raise DownloadRefused(f"The result's host redirected more than {MAX_REDIRECTS} times.", hint=_HINT)

    def _check_url(self, url: str) -> None:
        parts = url_parts(url)
        host = (parts.hostname or "").lower()
        if parts.scheme == "http" and self.policy.loopback_allowed and host in LOOPBACK_HOSTS:
            return
        if parts.scheme != "https" or not host or parts.username:
            raise DownloadRefused(
                f"The result's address is not an https link (scheme {parts.scheme[:10]!r}).", hint=_HINT
            )

    def _check_connection(self, url: str) -> Any:
        parts = url_parts(url)
        host = (parts.hostname or "").lower()

        async def trace(event: str, info: dict[str, Any]) -> None:
            if event != "connection.connect_tcp.complete":
                return
            stream = info["return_value"]
            address = stream.get_extra_info("server_addr")[0]
            if is_refused(address, loopback_allowed=self.policy.loopback_allowed and host in LOOPBACK_HOSTS):
                await stream.aclose()
                raise DownloadRefused(
                    f"The result's host {host} leads to the private address {address}.",
                    hint=f"If that is right, set KLING_ONCE_ALLOW_HOSTS={host}. " + _HINT,
                )

        async def unchecked(event: str, info: dict[str, Any]) -> None:
            pass

        return unchecked if host in self.policy.allowed_hosts or is_proxied(parts.scheme, host) else trace

    async def _receive(self, response: httpx.Response, have: int) -> None:
        status = response.status_code
        if status in {401, 403, 404, 410}:
            raise LinkExpired(status)
        if have and status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            await asyncio.to_thread(self.part.unlink, missing_ok=True)
            raise DownloadBroken("The result changed while it was fetched.")
        if status not in {200, 206}:
            raise DownloadBroken(f"The result's host answered HTTP {status}.")
        start = _range_start(response) if status == httpx.codes.PARTIAL_CONTENT else 0
        if start not in {0, have}:
            raise DownloadBroken("The result's host sent another part than was asked for.")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        if total is not None and total > self.policy.max_bytes:
            raise self._too_large(total)
        with await asyncio.to_thread(self.part.open, "r+b" if start else "wb") as file:
            done = await self._write(response, file, start, total)
        if total is not None and done != total:
            raise DownloadBroken(f"The result ended after {done} of {total} bytes.")

    async def _write(self, response: httpx.Response, file: BinaryIO, start: int, total: int | None) -> int:
        file.seek(start)
        done = start
        async for chunk in response.aiter_raw():
            done += len(chunk)
            if done > self.policy.max_bytes:
                raise self._too_large(done)
            await asyncio.to_thread(file.write, chunk)
            self.on_bytes(done, total)
        return done

    def _too_large(self, size: int) -> DownloadRefused:
        return DownloadRefused(
            f"The result is larger than {self.policy.max_bytes:,} bytes (at least {size:,}).", hint=_HINT
        )

    def _broken(self, error: Exception) -> DownloadBroken:
        if isinstance(error, DownloadBroken):
            return DownloadBroken(error.message, hint=_HINT)
        return DownloadBroken(f"The result could not be fetched ({type(error).__name__}).", hint=_HINT)

    def _have(self) -> int:
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0


_HINT: Final = (
    "Nothing is lost: run again to try again, or fetch it yourself and hand it over with"
    " 'kling-once collect TASK_ID --from-file PATH'."
)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise DownloadRefused("The result's host redirects to what is no address.", hint=_HINT) from None


def _range_start(response: httpx.Response) -> int:
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match.group(1)) if match else -1
