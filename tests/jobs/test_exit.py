"""A host that ends, as ComfyUI does with Ctrl-C, gives a create on the wire time to be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = [pytest.mark.process, pytest.mark.both_generations]
ENDS_WITH_A_CREATE_ON_THE_WIRE = """
import sys, threading
from pathlib import Path
from kling_once.order import Order, Spender, VideoFile
from kling_once.jobs.progress import Stage
from kling_once.client import shared_client

picture, clip, results = map(Path, sys.argv[1:])
sent = threading.Event()
order = Order(picture, VideoFile(clip), spender=Spender("prompt", "node"))
shared_client(results=results).run(order, lambda progress: progress.stage is Stage.SUBMIT and sent.set())
sent.wait(30)
"""


def test_a_create_that_is_answered_while_the_host_ends_is_written_down(
    python: Callable[..., Process],
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    small_picture: Path,
    small_clip: Path,
    results: Path,
) -> None:
    sandbox.script("create", "stall-2-after-accept")

    python("-c", ENDS_WITH_A_CREATE_ON_THE_WIRE, str(small_picture), str(small_clip), str(results)).end()

    (state,) = ledger_file.states()
    assert state in {"submitted", "succeeded", "kept"}  # what follows the answer may have begun
    (row,) = ledger_file.rows()
    assert [task["task_id"] for task in sandbox.tasks()] == [row["task_id"]]
    assert engines().run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1
