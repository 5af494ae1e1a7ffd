"""Which addresses an embedded sandbox may fetch a reference from: no URL may lead inside a network."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver

from .connection import is_loopback

if TYPE_CHECKING:
    import socket

PROXY_CLIENTS: Final = (ip_network("198.18.0.0/15"), ip_network("fdfe:dcba:9876::/64"))
"""Addresses that local proxy clients give for public hosts."""


class Forbidden(Exception):
    """An address that is not fetched; the text says why."""


@dataclass(frozen=True)
class Guard:
    """The rules for one URL that somebody typed, and for where it redirects to.

    https leads to public addresses. A URL of this machine may lead to others of it, also by plain http.
    """

    loopback_allowed: bool

    @classmethod
    def of(cls, url: str) -> Guard:
        """Return the rules for a URL: whether it names this machine."""
        return cls(is_loopback(urlsplit(url).hostname))

    def check_url(self, url: str) -> None:
        """Pass when a URL may be asked for, as far as it says where it leads.

        Raises:
            Forbidden: another scheme than https, or a private address.
        """
        parts = urlsplit(url)
        is_local = self.loopback_allowed and is_loopback(parts.hostname)
        if not parts.hostname or parts.scheme not in ({"https", "http"} if is_local else {"https"}):
            raise Forbidden("the URL must begin with https://; http:// is for this machine alone")
        try:
            address = ip_address(parts.hostname.partition("%")[0])
        except ValueError:  # a name, which the resolver below looks at
            return
        self.check_address(address)

    def check_address(self, address: IPv4Address | IPv6Address) -> None:
        """Pass when an address may be connected to.

        Raises:
            Forbidden: it is private.
        """
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if self.loopback_allowed and address.is_loopback:
            return
        if any(address in network for network in PROXY_CLIENTS):
            return
        if not address.is_global or address.is_multicast:
            raise Forbidden("the URL leads to a private address")

    def connector(self, url: str) -> aiohttp.BaseConnector:
        """Return a connector that connects to allowed addresses alone; behind a proxy the proxy decides."""
        return aiohttp.TCPConnector() if _is_proxied(url) else aiohttp.TCPConnector(resolver=_Resolver(self))


class _Resolver(AbstractResolver):
    """Names to addresses; the ones that are checked are the ones that are connected to."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._names = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily | int = 0) -> Any:
        found = await self._names.resolve(host, port, family)  # type: ignore[arg-type]
        for entry in found:
            self._guard.check_address(ip_address(entry["host"].partition("%")[0]))
        return found

    async def close(self) -> None:
        await self._names.close()


def _is_proxied(url: str) -> bool:
    parts, proxies = urlsplit(url), getproxies()
    host = parts.hostname or ""
    if is_loopback(host):
        return False
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(host)
