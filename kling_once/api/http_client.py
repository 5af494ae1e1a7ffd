"""Open an HTTP client: the environment's proxies and certificates, but never a proxy for this machine."""

from __future__ import annotations

from typing import Any, Final

import httpx

from ..errors import SettingsError
from ..settings import LOOPBACK_HOSTS

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
