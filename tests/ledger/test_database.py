"""The ledger's file: made once, by whoever comes first."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from kling_once.clock import SystemClock
from kling_once.errors import LedgerNotWritable
from kling_once.ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process

OPENS = (
    "import sys; from pathlib import Path; from kling_once.clock import SystemClock;"
    "from kling_once.ledger.ledger import Ledger; Ledger(Path(sys.argv[1]), SystemClock()).close()"
)
DIES_IN_MID_MIGRATION = (
    "import os, signal; from alembic import op; made = op.create_index;"
    "op.create_index = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL);" + OPENS
)


def test_processes_that_meet_at_a_fresh_home_all_open_it(python: Callable[..., Process], home: Path) -> None:
    ended = [process.end() for process in [python("-c", OPENS, str(home)) for _ in range(5)]]

    assert [end.code for end in ended] == [0] * 5


def test_a_kill_in_mid_migration_leaves_a_home_that_opens(
    python: Callable[..., Process], home: Path, ledger_file: LedgerFile
) -> None:
    assert python("-c", DIES_IN_MID_MIGRATION, str(home)).popen.wait(60) == -signal.SIGKILL
    assert not ledger_file.rows()

    assert python("-c", OPENS, str(home)).end().code == 0
    ledger_file.execute("SELECT version_num FROM alembic_version")


def test_more_callers_than_connections_get_an_error_of_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(home, SystemClock())
    monkeypatch.setattr(ledger.database._engine.pool, "_timeout", 0.01)  # half a minute otherwise
    with ExitStack() as busy:
        for _ in range(15):
            busy.enter_context(ledger.database.read())
        with pytest.raises(LedgerNotWritable, match="cannot be written: QueuePool limit"):
            asyncio.run(ledger.attempts_of("v1"))
    ledger.close()
