"""Two ledgers with an account each keep results in one folder: what one has bought the other serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import (
    AccountError,
    KlingOnceError,
    OutcomeUnknown,
    TaskFailed,
)
from kling_once.results.store import file_digest
from tests.open_ledger import ask_ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.outcome import Outcome
    from tests.sandbox_control import SandboxControl

LOOKS_BEFORE_CREATE = ("ok",) * 4

pytestmark = pytest.mark.both_generations


@dataclass
class Studio:
    """A ledger, and the account that it buys with."""

    account: SandboxControl
    engine: Any

    def run(self, order: Any) -> Outcome:
        return self.engine.run(order).result(30)


@pytest.fixture
def studios(
    sandboxes: Callable[..., SandboxControl],
    engines: Callable[..., Any],
    tmp_path: Path,
    generation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Studio]:
    monkeypatch.setenv("KLINGAI_API_GENERATION", generation)
    made = []
    for name in ("one", "two"):
        account = sandboxes(state_dir=tmp_path / name / "account")
        account.generation = generation
        engine = engines(sandbox_url=account.origin, home=tmp_path / name / "home", settle_seconds=0.2)
        made.append(Studio(account, engine))
    return made


@pytest.fixture(autouse=True)
def _ids_differ(studios: list[Studio], order: Callable[..., Any]) -> None:
    """Two sandboxes number their tasks alike; the second one has made one more."""
    studios[1].run(order(prompt="another"))


def assert_served(again: Outcome, kept: Outcome) -> None:
    assert again.reused
    assert again.path == kept.path
    assert again.attempt.task_id == kept.attempt.task_id
    assert file_digest(again.path) == kept.attempt.result_digest


def test_an_order_that_was_refused_here_is_served_what_another_ledger_has_bought(
    studios: list[Studio], order: Callable[..., Any]
) -> None:
    one, two = studios
    one.account.script("create", "code-1102")
    with pytest.raises(AccountError):
        one.run(order())
    kept = two.run(order())

    assert_served(one.run(order()), kept)
    assert_served(one.run(order()), kept)
    assert len(one.account.creates()) == 1
    assert not one.account.tasks()


def test_an_intent_that_was_never_sent_is_served_what_another_ledger_has_bought(
    studios: list[Studio], order: Callable[..., Any]
) -> None:
    one, two = studios
    one.account.script("get", "ok", "ok", "ok", *["status-502"] * 8)
    with pytest.raises(KlingOnceError):
        one.run(order())
    one.account.script("get")
    kept = two.run(order())

    assert_served(one.run(order()), kept)
    assert not one.account.creates()


def test_a_create_whose_answer_was_lost_is_not_sent_again_for_what_another_ledger_has_bought(
    studios: list[Studio], order: Callable[..., Any]
) -> None:
    one, two = studios
    one.account.script("create", "reset-before-accept")
    one.account.script("get", *LOOKS_BEFORE_CREATE, *["status-502"] * 60)
    with pytest.raises(OutcomeUnknown):
        one.run(order())
    one.account.script("get")
    kept = two.run(order())

    assert_served(one.run(order()), kept)
    assert len(one.account.creates()) == 1


@pytest.mark.parametrize("fault", ["task-failed", "task-failed-input", "code-1301"])
def test_a_failure_here_is_no_reason_to_buy_again_what_another_ledger_has_bought(
    fault: str, studios: list[Studio], order: Callable[..., Any]
) -> None:
    """Both attempts carry the same external id, each at its account."""
    one, two = studios
    one.account.script("create", fault)
    with pytest.raises(KlingOnceError):
        one.run(order())
    kept = two.run(order())

    assert_served(one.run(order()), kept)
    assert_served(one.run(order()), kept)
    assert len(one.account.creates()) == 1


def test_the_failure_stays_in_the_ledger_beside_the_result_of_another(
    studios: list[Studio], order: Callable[..., Any]
) -> None:
    one, two = studios
    one.account.script("create", "task-failed")
    with pytest.raises(TaskFailed) as failed:
        one.run(order())
    kept = two.run(order())
    again = one.run(order())

    attempts = ask_ledger(one.engine, lambda ledger: ledger.attempts_of(again.attempt.job_key))

    assert [(attempt.number, attempt.state) for attempt in attempts] == [(1, "failed"), (2, "kept")]
    assert [attempt.task_id for attempt in attempts] == [failed.value.task_id, kept.attempt.task_id]


def test_an_order_that_waits_for_a_place_is_served_what_another_ledger_buys_meanwhile(
    studios: list[Studio], order: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    one, two = studios
    one.account.script("create", *["code-1302"] * 500)
    waiting = one.engine.run(order())
    eventually(one.account.creates, "a refused create")

    kept = two.run(order())

    assert_served(waiting.result(30), kept)
    assert not one.account.tasks()


def test_two_results_of_one_job_never_lie_over_each_other(
    studios: list[Studio], order: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    """Ordered in the same seconds: both were paid, so both are kept."""
    for studio in studios:
        studio.account.move(policy="polls", polls=100_000)
    futures = [studio.engine.run(order()) for studio in studios]
    eventually(lambda: [len(studio.account.tasks()) for studio in studios] == [1, 2], "both tasks")

    outcomes = []
    for studio, future in zip(studios, futures, strict=True):
        studio.account.move(policy="at once")
        outcomes.append(future.result(30))

    assert len({outcome.path for outcome in outcomes}) == 2
    for outcome in outcomes:
        assert file_digest(outcome.path) == outcome.attempt.result_digest
