"""Who may act on an attempt: one process at a time, for as long as it says that it lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import filelock

from ..errors import LeaseLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ..clock import Clock

logger = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=60)
RENEW_SECONDS: Final = 10.0


class Owner:
    """This process's name in leases, and a lock that falls when the process dies.

    The lock lets a newcomer on the same machine take over from a killed process at once. The lease
    alone decides where locks do not reach.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._host = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:40]
        self.name = f"{self._host}-{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = filelock.FileLock(self._path(self.name), thread_local=False)
        self._lock.acquire(timeout=0)

    def close(self) -> None:
        """Give the name up."""
        self._lock.release()
        self._path(self.name).unlink(missing_ok=True)

    def is_dead(self, name: str) -> bool:
        """Tell whether another owner of this home is certainly gone; unsure means no.

        Locks are trusted on the machine that took them. An owner has its lock before it has a lease, so
        one whose lock is not there has closed, or was found dead before.
        """
        path = self._path(name)
        if name == self.name or name.partition("-")[0] != self._host:
            return False
        if not path.is_file():
            return True
        try:
            with filelock.FileLock(path, timeout=0):
                pass
        except (filelock.Timeout, OSError, NotImplementedError):
            return False
        path.unlink(missing_ok=True)
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


@contextlib.asynccontextmanager
async def renewed(renew: Callable[[], bool], clock: Clock) -> AsyncIterator[None]:
    """Keep a lease alive while the block runs; cancel the block when the lease is lost.

    A renewal that fails is tried again: whether the lease is still ours is asked at every change.

    Raises:
        LeaseLost: somebody else holds it now.
    """
    work = asyncio.current_task()
    lost = False

    async def keep() -> None:
        nonlocal lost
        while True:
            await clock.sleep(RENEW_SECONDS)
            try:
                held = await asyncio.to_thread(renew)
            except Exception as error:  # noqa: BLE001 - the keeper's end would hide the outcome of paid work
                logger.warning("The lease could not be renewed: %s", error)
                continue
            if not held and work is not None:
                lost = True
                work.cancel()
                return

    keeper = asyncio.create_task(keep())
    try:
        yield
    except asyncio.CancelledError:
        if lost and work is not None:
            work.uncancel()
            raise LeaseLost("Another process has taken this attempt over.") from None
        raise
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
