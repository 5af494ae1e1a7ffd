"""Backoff, and reads that are repeated after passing failures. A create never passes through here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ..errors import Busy, ServerFault, TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..clock import Clock

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
