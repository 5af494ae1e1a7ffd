"""The gateway as a program of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from .gateway import Gateway
from .gateway_server import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings import Settings


def serve_gateway(settings: Settings, started: Callable[[Gateway], object] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; blocks.

    Where another process of this home serves already, it stands by and takes the port over when that one
    ends.

    Args:
        settings: as everywhere.
        started: is told once the gateway runs; default: one line on standard output, flushed.

    Raises:
        HostingError: no public address, or the port is taken by another program.
    """
    asyncio.run(_serve(settings, started or _print_line))


async def _serve(settings: Settings, started: Callable[[Gateway], object]) -> None:
    gateway = Gateway(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    await gateway.start()
    try:
        started(gateway)
        await ended.wait()
    finally:
        await gateway.stop()


def _print_line(gateway: Gateway) -> None:
    place = f"{gateway.public_url} -> http://{LOOPBACK}:{gateway.port}"
    standing_by = "" if gateway.serving else " (another process of this home serves it; standing by)"
    sys.stdout.write(f"Kling Once gateway: {place}{standing_by}\n")
    sys.stdout.flush()
