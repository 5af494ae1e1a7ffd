"""Repeat reads, which cost nothing. A create never passes through here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ..errors import ApiError, Repeat, TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..clock import Clock

READ_ATTEMPTS: Final = 4
LONGEST_PAUSE_SECONDS: Final = 20


def may_read_again(error: BaseException) -> bool:
    """Tell whether a failed read is worth another look."""
    if isinstance(error, ApiError):
        return error.repeat_read is Repeat.LATER
    return isinstance(error, TransportError)


Value = TypeVar("Value")


async def read_again(read: Callable[[], Awaitable[Value]], clock: Clock, *, pause_seconds: float) -> Value:
    """Return what `read` returns, looking again after passing failures with growing, random pauses.

    Raises:
        ApiError, TransportError: of the last attempt.
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
