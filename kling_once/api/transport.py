"""Open an HTTP client: the environment's proxies and certificates, but never a proxy for this machine."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import SettingsError
from ..settings import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterator


DIRECT: Final[dict[str, httpx.AsyncBaseTransport | None]] = {
    f"all://[{host}]" if ":" in host else f"all://{host}": None for host in sorted(LOOPBACK_HOSTS)
}
"""A proxy cannot reach our loopback; many environments name one without NO_PROXY."""


def open_client(**options: Any) -> httpx.AsyncClient:
    """Return a client that follows no redirect; HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE count.

    Raises:
        SettingsError: what the environment names cannot be used; the message never shows it.
    """
    try:
        return httpx.AsyncClient(follow_redirects=False, mounts=DIRECT, **options)
    except ImportError:
        raise SettingsError(
            "The proxy in the environment speaks SOCKS, and the package for that is not installed.",
            hint="Run: pip install 'httpx[socks]'. Or set HTTPS_PROXY to an http:// proxy.",
        ) from None
    except (OSError, ValueError, httpx.InvalidURL):
        raise SettingsError(
            "The proxy or the certificates that the environment names cannot be used.",
            hint="Look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from None


_private: ContextVar[bool] = ContextVar("kling_once_private_traffic", default=False)

LOGGERS: Final = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class _OwnRecords(logging.Filter):
    """Drop records that our requests cause; those of other users of the library pass."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - whose request it is decides
        return not _private.get()


_filter = _OwnRecords("kling_once")


@contextmanager
def private_traffic() -> Iterator[None]:
    """Silence the HTTP libraries for what this task does inside."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_filter)
    token = _private.set(True)
    try:
        yield
    finally:
        _private.reset(token)


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
"""Unspecified, RFC 1918, loopback, link-local, multicast and unique local addresses."""

PROXY_CLIENT_ADDRESSES: Final = (ip_network("198.18.0.0/15"), ip_network("fdfe:dcba:9876::/64"))
"""What the DNS of proxy clients answers for every name; a real host stands behind each."""


def is_refused(address: str, *, loopback_allowed: bool) -> bool:
    """Tell whether a connection to this address must not be used for a download."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if loopback_allowed and ip.is_loopback:
        return False
    if any(ip in network for network in PROXY_CLIENT_ADDRESSES):
        return False
    return any(ip in network for network in REFUSED)


def is_proxied(scheme: str, host: str) -> bool:
    """Tell whether requests for this host go through the environment's proxy; those to loopback never do."""
    if host in LOOPBACK_HOSTS:
        return False
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)
