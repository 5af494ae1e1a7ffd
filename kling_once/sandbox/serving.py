"""A sandbox alone in its process, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from .server import Sandbox

if TYPE_CHECKING:
    from .options import SandboxOptions


def serve(options: SandboxOptions, host: str = "127.0.0.1", port: int = 8190) -> None:
    """Run a sandbox until SIGINT or SIGTERM; print one line with its origin when it listens.

    Port 0 picks a free one. Where controls need a token that the options do not name, a second line
    prints it. OSError when it cannot listen there.
    """
    asyncio.run(_serve(options, host, port))


async def _serve(options: SandboxOptions, host: str, port: int) -> None:
    sandbox = Sandbox(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    previous = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        await sandbox.start(host, port)
        _say(f"Kling sandbox listens on {sandbox.origin}")
        if sandbox.token is not None and options.token is None:
            _say(f"X-Sandbox-Token: {sandbox.token}")
        await stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        await sandbox.stop()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
