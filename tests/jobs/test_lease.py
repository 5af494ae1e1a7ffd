"""A lease that somebody else holds."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


@pytest.mark.parametrize("expired", [False, True])
def test_the_lease_of_an_owner_elsewhere_is_waited_for_and_then_taken(
    expired: bool,
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
    leave_in_the_wait: Callable[..., None],
) -> None:
    leave_in_the_wait(order())
    until = datetime.now(UTC) + (timedelta(seconds=-1) if expired else timedelta(hours=1))
    ledger_file.change(owner=f"elsewhere-{os.getpid()}-00000000", lease_until=round(until.timestamp() * 1000))
    seen: list[str] = []

    future = engines().run(order(), lambda progress: seen.append(progress.text))

    if not expired:
        eventually(lambda: "another process works on it" in seen, "the wait")
        assert not future.done()
        ledger_file.change(lease_until=0)
    assert future.result(30).path.is_file()
    assert len(sandbox.creates()) == 1
