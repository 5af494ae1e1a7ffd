"""How requests leave: connections, private logs, translated failures, backoff, and repeated reads."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ..errors import AnswerLost, Busy, NeverSent, ServerFault, SettingsError, TransportError, vendor_text
from ..origins import LOOPBACK_HOSTS
from ..settings import certificate_places

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator

    from ..clock import Clock

CONNECT_SECONDS: Final = 15.0
DIRECT: Final[dict[str, httpx.AsyncBaseTransport | None]] = {
    f"all://[{host}]" if ":" in host else f"all://{host}": None for host in sorted(LOOPBACK_HOSTS)
}
"""Loopback without a proxy: no proxy can reach it, and many environments set one without NO_PROXY."""


def open_client(**options: Any) -> httpx.AsyncClient:
    """Return a client that follows no redirect and honours the environment's proxies and certificates.

    Raises:
        SettingsError: what the environment names cannot be used; the message never shows it.
    """
    try:
        trusted = _trusted(certificate_places())
        return httpx.AsyncClient(follow_redirects=False, mounts=DIRECT, verify=trusted, **options)
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


@lru_cache(maxsize=4)
def _trusted(_places: tuple[str | None, ...]) -> ssl.SSLContext:
    """Return the certificates that the environment names: to read them takes longer than a request."""
    return httpx.create_ssl_context()


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
    """Drop the log records of our own requests; those of other users of the library pass."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - whose request it is decides
        return not _private.get()


_filter = _OwnRecords("kling_once")


@contextmanager
def private_traffic() -> Iterator[None]:
    """Keep requests made inside the block, in this task, out of the logs of the HTTP libraries."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_filter)
    token = _private.set(True)
    try:
        yield
    finally:
        _private.reset(token)


def translate(error: httpx.HTTPError | httpx.InvalidURL | OSError, origin: str) -> TransportError:
    """Return our error for a failed request; the only place that maps httpx's exceptions.

    httpx passes `ssl.SSLError` and other `OSError`s of an established connection on as they are.
    """
    kind = type(error).__name__
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)):
        return NeverSent(
            f"{origin} cannot be reached: {vendor_text(error) or kind}.",
            hint="Check the network, the proxy and the address.",
        )
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return NeverSent(f"The request to {origin} could not be formed: {kind}.", hint="Check the address.")
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return AnswerLost(f"{origin} did not answer in time ({kind}).", hint="Try again later.")
    return AnswerLost(
        f"The connection to {origin} broke before the answer ({kind}).", hint="Try again later."
    )


READ_ATTEMPTS: Final = 4
LONGEST_PAUSE_SECONDS: Final = 20
DOUBLINGS_MAX: Final = 30
"""More than any pause needs; unbounded, the power overflows a float after 1024 failures."""

Value = TypeVar("Value")


def backoff_seconds(first_seconds: float, failures: int, *, longest_seconds: float) -> float:
    """Return the pause after a number of failures in a row: exponential backoff without jitter.

    Args:
        first_seconds: pause after the first failure; doubled after each further one.
        failures: failures in a row, from 1.
        longest_seconds: upper bound of the pause.
    """
    return min(first_seconds * 2 ** min(failures - 1, DOUBLINGS_MAX), longest_seconds)


def may_read_again(error: BaseException) -> bool:
    """Tell whether a failed read may succeed when it is repeated later."""
    return isinstance(error, (Busy, ServerFault, TransportError))


async def read_again(read: Callable[[], Awaitable[Value]], clock: Clock, *, pause_seconds: float) -> Value:
    """Return what `read` returns, repeating it after passing failures: backoff with full jitter.

    Args:
        read: one free request.
        clock: for the pauses.
        pause_seconds: base of the pauses. The n-th is random between 0 and `pause_seconds` * 2**(n - 2),
            20 s at most.

    Raises:
        ApiError: the last attempt's, or the first that repeating cannot mend.
        TransportError: the last attempt's.
    """
    retrying = AsyncRetrying(
        sleep=clock.sleep,
        stop=stop_after_attempt(READ_ATTEMPTS),
        wait=wait_random_exponential(multiplier=pause_seconds / 2, max=LONGEST_PAUSE_SECONDS),
        retry=retry_if_exception(may_read_again),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            return await read()
    raise AssertionError("tenacity ends with a value or an error")
