"""Which addresses a result may come from, and when a proxy stands between."""

from __future__ import annotations

import pytest

from kling_once.api.download import is_proxied, is_refused

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "224.0.0.1",
    "::",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:192.168.0.1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "198.18.0.1",
    "198.19.255.255",
    "fdfe:dcba:9876::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused(address: str) -> None:
    assert is_refused(address, loopback_allowed=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_and_the_fake_addresses_of_proxy_clients_pass(address: str) -> None:
    assert not is_refused(address, loopback_allowed=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.1"])
def test_loopback_passes_for_a_sandbox_on_this_machine(address: str) -> None:
    assert not is_refused(address, loopback_allowed=True)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "192.168.1.1", "::ffff:10.0.0.1"])
def test_a_sandbox_on_this_machine_opens_no_other_private_address(address: str) -> None:
    assert is_refused(address, loopback_allowed=True)


def test_a_host_behind_the_environments_proxy_is_proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_proxied("https", "cdn.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert is_proxied("https", "cdn.example")
    monkeypatch.setenv("NO_PROXY", "cdn.example")
    assert not is_proxied("https", "cdn.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_is_never_proxied(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    assert not is_proxied("http", host)
