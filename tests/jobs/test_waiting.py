"""Waiting, letting go, and coming back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import (
    AuthenticationError,
    BudgetReached,
    JobError,
    OutcomeUnknown,
    ResultGone,
    StillRunning,
)
from kling_once.jobs.progress import Stage
from tests.open_ledger import ask_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.engine import Engine
    from kling_once.jobs.progress import Progress
    from kling_once.ledger.queries import Expectation
    from kling_once.order import Order
    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


def test_a_wait_that_is_over_says_so_and_the_task_is_collected_later(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    with pytest.raises(StillRunning, match="goes on at Kling") as caught:
        engine.run(order(wait_minutes=0.005)).result(30)
    task_id = sandbox.tasks()[0]["task_id"]
    assert caught.value.task_id == task_id
    sandbox.move(policy="at once")

    outcome = engine.collect(task_id).result(30)

    assert outcome.path.is_file()
    assert outcome.reused
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("name", ["job_key", "external_id", "task_id"])
def test_a_job_is_collected_by_each_of_its_names(
    name: str, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = engines()
    with pytest.raises(StillRunning):
        first.run(order(wait_minutes=0.002)).result(30)
    first.close()
    sandbox.move(policy="at once")
    engine = engines()
    attempt = ask_ledger(engine, lambda ledger: ledger.attempt(1))

    assert engine.collect(getattr(attempt, name)).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


def test_collecting_what_nobody_knows_is_said_in_words(engine: Any) -> None:
    with pytest.raises(ResultGone, match="knows no job or task"):
        engine.collect("123456789012345678").result(30)


def test_the_wait_begins_when_the_vendor_accepts_not_while_the_account_is_full(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", *["code-1303"] * 7)  # pauses of more than 6 s together
    sandbox.move(policy="polls", polls=3)

    outcome = engine.run(order(wait_minutes=0.07)).result(60)

    assert outcome.path.is_file()
    assert not sandbox.pending()


def test_letting_go_before_the_create_buys_nothing(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("get", "ok", "ok", "ok", "stall-0.5")
    future = engine.run(order())
    eventually(lambda: sandbox.met() == ["stall-0.5"], "the look before the create")

    future.cancel()

    eventually(lambda: ledger_file.rows()[0]["owner"] is None, "the lease given up")
    (row,) = ledger_file.rows()
    assert (row["state"], row["posts"], row["units_reserved"]) == ("intent", 0, None)
    assert not sandbox.creates()
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


def test_letting_go_after_the_create_goes_on_and_keeps_the_video(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("create", "stall-0.3-after-accept")
    future = engine.run(order())
    eventually(sandbox.tasks, "the task")

    future.cancel()

    eventually(lambda: ledger_file.states() == ["kept"], "the video")
    assert len(sandbox.creates()) == 1


def test_one_of_two_lets_go_and_the_other_gets_the_video(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    sandbox.script("get", "ok", "ok", "ok", "stall-0.5")
    first, second = engine.run(order()), engine.run(order())
    eventually(lambda: sandbox.met() == ["stall-0.5"], "the look before the create")

    first.cancel()

    assert second.result(30).path.is_file()
    assert len(sandbox.creates()) == 1


def test_a_display_that_fails_ends_no_job(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    def broken(_progress: object) -> None:
        raise BrokenPipeError("nobody reads")

    outcomes = [engine.run(order(), broken), engine.run(order())]

    assert all(future.result(30).path.is_file() for future in outcomes)
    assert len(sandbox.creates()) == 1


def test_an_interrupt_in_the_wait_names_the_task_and_the_next_run_collects_it(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    process = run_cli()
    eventually(lambda: ledger_file.states() == ["submitted"], "the task")
    eventually(lambda: len(sandbox.calls()) > 7, "polls")

    process.signal(signal.SIGINT)
    interrupted = process.end()

    (row,) = ledger_file.rows()
    assert interrupted.code == 130
    assert row["task_id"] in interrupted.err
    assert "run the same again" in interrupted.err
    assert row["owner"] is None
    sandbox.move(policy="at once")
    assert run_cli().end().json["reused"] is True
    assert len(sandbox.creates()) == 1


def test_an_interrupt_before_the_create_buys_nothing(
    sandbox: SandboxControl, run_cli: Callable[..., Process], eventually: Callable[..., Any]
) -> None:
    sandbox.script("get", "ok", "ok", "ok", "stall-30")
    process = run_cli()
    eventually(lambda: sandbox.met() == ["stall-30"], "the look before the create")

    process.signal(signal.SIGINT)

    assert process.end().code == 130
    assert not sandbox.creates()


def test_an_interrupt_during_the_create_still_writes_the_task_down(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    sandbox.script("create", "stall-1-after-accept")
    process = run_cli()
    eventually(sandbox.tasks, "the task")

    process.signal(signal.SIGINT)

    assert process.end().code == 130
    assert ledger_file.rows()[0]["task_id"] == sandbox.tasks()[0]["task_id"]
    assert ledger_file.states() == ["submitted"]


def test_a_key_refused_in_the_wait_leaves_the_task_collectable(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("get", *["ok"] * 4, "code-1002")

    with pytest.raises(AuthenticationError) as caught:
        engine.run(order()).result(30)

    assert caught.value.task_id == sandbox.tasks()[0]["task_id"]
    assert engine.run(order()).result(30).reused
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize(
    "trouble",
    ["status-500", "status-503", "html", "garbage-json", "reset", "not-found-once", "unknown-status"],
)
def test_trouble_in_the_wait_is_waited_out(
    trouble: str, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("get", *["ok"] * 4, trouble, trouble)

    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1
    assert not sandbox.pending()


def test_another_customers_task_in_the_wait_is_not_taken_for_ours(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("get", *["ok"] * 4, "wrong-owner", "wrong-owner")
    seen: list[str] = []

    engine.run(order(), lambda progress: seen.append(progress.text)).result(30)

    assert not sandbox.pending()
    assert any("looking again" in text for text in seen)
    assert not any("processing" in text for text in seen), "the stranger's status"


def test_collecting_an_intent_pays_nothing(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines()
    sandbox.script("get", "ok", "ok", "ok", *["status-502"] * 12)
    with pytest.raises(Exception, match="did not answer"):
        engine.run(order()).result(30)
    sandbox.script("get")
    attempt = ask_ledger(engine, lambda ledger: ledger.attempt(1))

    with pytest.raises(OutcomeUnknown, match="has no task at Kling"):
        engine.collect(attempt.job_key).result(30)
    assert not sandbox.creates()


def test_a_kept_job_takes_no_other_file(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], small_clip: Any
) -> None:
    outcome = engine.run(order()).result(30)
    before = outcome.path.read_bytes()

    with pytest.raises(JobError, match="has its result already"):
        engine.keep_file(outcome.attempt.task_id, small_clip).result(30)
    assert outcome.path.read_bytes() == before


def test_an_order_that_joins_does_not_pay_for_the_first_ones_limit(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    from decimal import Decimal  # noqa: PLC0415

    refused = engine.run(order(max_units=Decimal("0.5")))
    with pytest.raises(BudgetReached, match="max_units"):
        refused.result(30)

    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


def test_what_shows_progress_may_ask_the_engine_back(engine: Engine, order: Callable[..., Order]) -> None:
    expected: list[Any] = []

    async def expectation(job_key: str) -> Expectation:
        return await (await engine.ledger()).expectation(job_key)

    def listener(progress: Progress) -> None:
        if progress.stage is Stage.WAIT and not expected:
            expected.append(engine.ask(expectation(progress.job_key)))

    engine.run(order(), listener).result(60)

    (answer,) = expected
    assert "would be up to" in answer.result(10).price
