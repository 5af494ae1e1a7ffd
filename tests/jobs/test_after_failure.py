"""What a failure means for those who waited, and for the next who orders the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import ExternalIdTaken, ModelRetired, ModerationRefusal, TaskFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


def failed(engine: Any, order: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as caught:
        engine.run(order).result(30)
    return caught.value


def test_a_failed_task_says_why_in_the_vendors_words_and_what_to_do(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed")

    error = failed(engine, order())

    assert "Task failed due to an internal error" in error.message
    assert "Run it again to make another attempt" in error.hint
    assert error.task_id == sandbox.tasks()[0]["task_id"]


def test_the_next_order_after_a_failure_makes_the_next_attempt(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed")
    failed(engine, order())

    outcome = engine.run(order()).result(30)

    assert outcome.attempt.number == 2
    assert outcome.attempt.external_id.endswith("-2")
    assert not outcome.reused
    assert len(sandbox.tasks()) == 2


def test_three_attempts_are_made_for_a_job_at_most(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed", "task-failed", "task-failed")
    for _ in range(3):
        failed(engine, order())

    error = failed(engine, order())
    forced = failed(engine, order(again=True))

    assert "3 attempts" in error.message
    assert "internal error" in error.message
    assert "raise take" in error.hint
    assert forced.message == error.message
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 3
    assert not sandbox.pending()


def test_a_model_that_is_switched_off_is_refused_for_good_and_says_what_to_do(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "model-discontinued")
    with pytest.raises(ModelRetired) as caught:
        engine.run(order()).result(30)
    assert "has been discontinued" in caught.value.message
    assert "Choose another model" in caught.value.hint

    error = failed(engine, order())
    assert "was refused" in error.message
    assert "Choose another model" in error.hint
    assert len(sandbox.creates()) == 1
    assert not sandbox.tasks()

    engine.run(order(again=True)).result(30)
    assert len(sandbox.tasks()) == 1


def test_a_failure_for_the_inputs_sake_is_repeated_without_asking_anybody(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed-input")
    assert "No complete upper body" in failed(engine, order()).message
    calls = len(sandbox.calls())

    error = failed(engine, order())

    assert "No complete upper body" in error.message
    assert "nothing was submitted again" in error.message
    assert "--again" in error.hint
    assert len(sandbox.calls()) == calls


def test_again_tries_after_a_failure_for_the_inputs_sake(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed-input")
    failed(engine, order())

    assert engine.run(order(again=True)).result(30).attempt.number == 2
    assert len(sandbox.tasks()) == 2


def test_a_charged_failure_is_never_followed_by_itself(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed-charged")
    assert "At Kling the charge would be: 1.5 units." in failed(engine, order()).message

    error = failed(engine, order())

    assert "failed and was charged" in error.message
    assert "1.5 units" in error.message
    assert len(sandbox.creates()) == 1
    assert engine.run(order(again=True)).result(30).attempt.number == 2


def test_a_failure_charged_in_cash_is_never_followed_by_itself(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.set(charge="cash")
    sandbox.script("create", "task-failed-charged")
    assert "0.21 USD" in failed(engine, order()).message

    failed(engine, order())

    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("code", [1300, 1301])
def test_a_moderation_refusal_is_repeated_without_any_create(
    code: int, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", f"code-{code}")
    with pytest.raises(ModerationRefusal, match=str(code)):
        engine.run(order()).result(30)
    calls = len(sandbox.calls())

    error = failed(engine, order())

    assert str(code) in error.message
    assert "--again" in error.hint
    assert len(sandbox.calls()) == calls


def test_another_input_after_a_moderation_refusal_is_another_job(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "code-1301")
    with pytest.raises(ModerationRefusal):
        engine.run(order()).result(30)

    assert engine.run(order(prompt="in a red coat")).result(30).attempt.number == 1


def test_again_sends_a_moderated_order_once_more_under_the_same_number(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    """Nothing existed at Kling, so the number does not rise."""
    sandbox.script("create", "code-1301")
    with pytest.raises(ModerationRefusal):
        engine.run(order()).result(30)

    assert engine.run(order(again=True)).result(30).attempt.number == 1
    assert len(sandbox.tasks()) == 1


def test_ten_who_wait_all_get_the_failure_and_one_task_is_made(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    sandbox.script("create", "task-failed")
    sandbox.move(policy="polls", polls=100_000)
    futures = [engine.run(order()) for _ in range(10)]
    eventually(sandbox.tasks, "the task")
    sandbox.move(policy="at once")

    errors = [future.exception(30) for future in futures]

    assert all(isinstance(error, TaskFailed) for error in errors)
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_ten_who_wait_all_get_the_video_and_one_task_is_made(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.move(policy="polls", polls=5)

    outcomes = [future.result(30) for future in [engine.run(order()) for _ in range(10)]]

    assert len({outcome.path for outcome in outcomes}) == 1
    assert [outcome.reused for outcome in outcomes].count(False) == 1
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_again_on_the_command_line(sandbox: SandboxControl, run_cli: Callable[..., Process]) -> None:
    sandbox.script("create", "task-failed-input")
    first = run_cli().end()
    second = run_cli().end()
    third = run_cli("--again").end()

    assert (first.code, second.code, third.code) == (1, 1, 0)
    assert "nothing was submitted again" in second.json["message"]
    assert first.json["task_id"] == second.json["task_id"]
    assert third.json["external_task_id"].endswith("-2")
    assert len(sandbox.creates()) == 2


class TestOwnExternalIds:
    def test_an_own_id_names_the_task(
        self, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
    ) -> None:
        engine.run(order(external_task_id="shot-12_b")).result(30)

        assert sandbox.creates()[0]["body"]["external_task_id"] == "shot-12_b"
        assert engine.run(order(external_task_id="shot-12_b")).result(30).reused

    def test_an_own_id_of_another_job_is_refused(
        self, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
    ) -> None:
        first = engine.run(order(external_task_id="shot-12")).result(30)

        with pytest.raises(ExternalIdTaken, match="belongs to another job") as caught:
            engine.run(order(external_task_id="shot-12", take=1)).result(30)

        assert caught.value.task_id == first.attempt.task_id
        assert len(sandbox.creates()) == 1

    def test_a_task_of_that_name_that_the_ledger_did_not_make_is_never_adopted(
        self, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], tmp_path: Path
    ) -> None:
        other = engines(home=tmp_path / "other", results=tmp_path / "other-results")
        other.run(order(external_task_id="shot-12", prompt="another")).result(30)
        engine = engines()

        with pytest.raises(ExternalIdTaken, match="did not make") as caught:
            engine.run(order(external_task_id="shot-12")).result(30)

        assert caught.value.task_id == sandbox.tasks()[0]["task_id"]
        assert len(sandbox.creates()) == 1
        with pytest.raises(ExternalIdTaken):
            engine.run(order(external_task_id="shot-12")).result(30)
        assert len(sandbox.creates()) == 1
        assert engine.run(order(external_task_id="shot-13")).result(30).attempt.external_id == "shot-13"
        assert len(sandbox.tasks()) == 2

    def test_without_an_id_the_order_goes_on_after_one_that_was_taken(
        self, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], tmp_path: Path
    ) -> None:
        other = engines(home=tmp_path / "other", results=tmp_path / "other-results")
        other.run(order(external_task_id="shot-12", prompt="another")).result(30)
        engine = engines()
        with pytest.raises(ExternalIdTaken):
            engine.run(order(external_task_id="shot-12")).result(30)

        assert engine.run(order()).result(30).attempt.external_id.startswith("ko-")

    def test_an_own_id_is_refused_for_a_second_attempt(
        self, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
    ) -> None:
        sandbox.script("create", "task-failed")
        failed(engine, order(external_task_id="shot-12"))

        with pytest.raises(ExternalIdTaken, match="first attempt"):
            engine.run(order(external_task_id="shot-12")).result(30)
        assert len(sandbox.creates()) == 1
        assert engine.run(order()).result(30).attempt.external_id.endswith("-2")

    def test_an_own_id_whose_answer_was_lost_is_found_again(
        self, sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
    ) -> None:
        sandbox.script("create", "reset-after-accept")

        assert engine.run(order(external_task_id="shot-12")).result(30).path.is_file()
        assert len(sandbox.creates()) == 1
        assert ledger_file.rows()[0]["external_id"] == "shot-12"

    def test_an_own_id_of_a_lost_ledger_buys_nothing(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        order: Callable[..., Any],
        ledger_file: LedgerFile,
    ) -> None:
        engine = engines()
        first = engine.run(order(external_task_id="shot-12")).result(30)
        engine.close()
        ledger_file.lose()

        again = engines().run(order(external_task_id="shot-12")).result(30)

        assert again.attempt.task_id == first.attempt.task_id
        assert len(sandbox.creates()) == 1
