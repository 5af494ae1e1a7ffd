"""A signal ends what waits, also one that wakes nobody: it came just before the wait began, or on Windows."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from kling_once.concurrency import Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process import Process

TAKEN_BY_ANOTHER_THREAD = """
import os, signal, sys, threading, time

main = threading.get_ident()
begins = threading.Event()

def interrupt():
    begins.wait()
    looks = 0
    while looks < 100:  # in a row: it sleeps, and what starts has started
        time.sleep(0.01)
        waits = sys._current_frames()[main].f_code.co_name in {"wait", "select"}
        looks = looks + 1 if waits else 0
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait()  # it takes the next one too

threading.Thread(target=interrupt, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # so that the other thread takes it
"""
RESULT = """
from concurrent.futures import Future
from kling_once.concurrency import Pending

signal.signal(signal.SIGTERM, lambda *_: sys.exit(signal.SIGTERM))
begins.set()
Pending(Future()).result()
"""
SANDBOX = """
from kling_once.sandbox.options import SandboxOptions
from kling_once.sandbox.server import serve

sys.exit(serve(SandboxOptions(), port=0, started=lambda _: begins.set()))
"""
GATEWAY = """
from kling_once.hosting.gateway import serve_gateway
from kling_once.settings import load_settings

settings = load_settings(public_url="http://127.0.0.1", gateway_port=0)
sys.exit(serve_gateway(settings, started=lambda _: begins.set()))
"""
COMFYUI = """
import asyncio
from pathlib import Path
from kling_once.client import let_go_on_sigterm, shared_client

async def serve():
    shared_client(results=Path("results"))
    let_go_on_sigterm()
    begins.set()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="no signal of one thread alone there")
@pytest.mark.parametrize(
    ("waits", "code"),
    [(RESULT, 15), (SANDBOX, 15), (GATEWAY, 15), (COMFYUI, -15)],
    ids=["result", "sandbox", "gateway", "ComfyUI"],
)
def test_a_signal_that_wakes_nobody_is_heard(python: Callable[..., Process], waits: str, code: int) -> None:
    ended = python("-c", TAKEN_BY_ANOTHER_THREAD + waits).end(60)
    assert ended.code == code, ended.err


def test_a_result_is_waited_for_as_long_as_was_asked() -> None:
    running: Future[int] = Future()
    pending = Pending(running)
    with pytest.raises(TimeoutError):
        pending.result(0)
    with pytest.raises(TimeoutError):
        pending.result(0.15)
    running.set_result(7)
    assert pending.result(0) == pending.result() == 7


def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    running: Future[int] = Future()
    running.set_exception(TimeoutError("the work's own"))
    with pytest.raises(TimeoutError, match="the work's own"):
        Pending(running).result()
