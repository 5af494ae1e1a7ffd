"""A ledger that cannot be written once money has moved hides nothing that was paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import LedgerNotWritable
from tests.open_ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


@pytest.fixture
def ledger_fails_when(engine: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the ledger refuse the changes that a condition names, until `monkeypatch.undo`."""

    def fail(is_refused: Callable[[Any, dict[str, Any]], bool]) -> None:
        ledger = open_ledger(engine)
        change = ledger.change

        async def full_disk(attempt: Any, **changes: Any) -> Any:
            if is_refused(attempt, changes):
                raise LedgerNotWritable("The ledger cannot be written: database or disk is full.")
            return await change(attempt, **changes)

        monkeypatch.setattr(ledger, "change", full_disk)

    return fail


@pytest.mark.parametrize(
    "moment",
    [
        lambda attempt, changes: attempt.state == "submitted" and "state" not in changes,
        lambda attempt, changes: changes.get("state") == "succeeded",
        lambda attempt, changes: attempt.state == "succeeded" and "state" not in changes,
        lambda attempt, changes: attempt.state in {"submitted", "succeeded"},
    ],
    ids=["while waiting", "at the end of the task", "while downloading", "from the acceptance on"],
)
def test_a_ledger_that_fails_after_the_acceptance_hides_nothing(
    moment: Callable[[Any, dict[str, Any]], bool],
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_fails_when: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.move(policy="polls", polls=2)
    ledger_fails_when(moment)

    outcome = engine.run(order()).result(30)

    assert outcome.path.stat().st_size == outcome.attempt.result_size_bytes
    assert outcome.units is not None
    monkeypatch.undo()
    assert engine.run(order()).result(30).path == outcome.path
    assert len(list(outcome.path.parent.glob("*.mp4"))) == 1
    assert len(sandbox.creates()) == 1


def test_a_ledger_that_fails_after_the_video_is_here_hides_nothing(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    ledger_fails_when: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger_fails_when(lambda _attempt, changes: "result_path" in changes)

    outcome = engine.run(order()).result(30)

    assert outcome.path.is_file()
    assert outcome.attempt.task_id
    assert ledger_file.states() == ["succeeded"]
    monkeypatch.undo()
    assert engine.run(order()).result(30).path == outcome.path
    assert len(list(outcome.path.parent.glob("*.mp4"))) == 1
    assert outcome.path.stat().st_size == outcome.attempt.result_size_bytes
