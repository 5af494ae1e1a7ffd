"""Which network addresses a download may come from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.request import getproxies, proxy_bypass

from ..settings import LOOPBACK_HOSTS

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
