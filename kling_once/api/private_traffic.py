"""Keep keys, signed URLs and result links of our own requests out of the HTTP libraries' logs."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

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
