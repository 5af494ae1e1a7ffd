"""Whatever happens to a create, one task is made. The sandbox accepts repeated ids throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import (
    ApiError,
    KlingOnceError,
    NeverSent,
    OutcomeUnknown,
    TaskFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations

LOOKS_BEFORE_CREATE = ("ok",) * 4
"""Ids 1 to 3 in case the ledger was lost, then the intent's own."""
ACCEPTED = (
    "reset-after-accept",
    "status-500-after-accept",
    "status-502-after-accept",
    "status-504-after-accept",
    "stall-1-after-accept",
    "garbage-json",
    "html-after-accept",
    "accept-late-0.8",
)
NOT_ACCEPTED = (
    "reset-before-accept",
    "status-500",
    "status-502",
    "status-504",
    "stall-0.6",
    "garbage-json-before-accept",
    "html",
)


@pytest.fixture(autouse=True)
def _settles_soon(hermetic: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_ONCE_SETTLE_SECONDS", "1.2")


@pytest.fixture
def impatient(hermetic: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a create for lost that stalls; on a busy machine any may."""
    monkeypatch.setenv("KLING_ONCE_CREATE_SECONDS", "0.5")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ACCEPTED)
def test_submit_is_not_repeated_when_the_answer_is_lost(
    fault: str, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    sandbox.script("create", fault)

    outcome = engines(settle_seconds=20).run(order()).result(60)  # it ends once the task shows

    assert outcome.path.is_file()
    assert len(sandbox.creates()) == 1
    assert [task["task_id"] for task in sandbox.tasks()] == [outcome.attempt.task_id]
    assert not sandbox.pending()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", NOT_ACCEPTED)
def test_a_create_that_was_never_accepted_is_sent_once_more(
    fault: str, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", fault)

    outcome = engine.run(order()).result(30)

    assert outcome.path.is_file()
    assert len(sandbox.creates()) == 2
    assert len(sandbox.tasks()) == 1
    assert not sandbox.pending()


def test_a_create_accepted_20_seconds_late_is_found(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    sandbox.script("create", "accept-late-20")

    outcome = engines(settle_seconds=24, poll_seconds=0.5).run(order()).result(60)

    assert outcome.path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
    assert not sandbox.pending()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "script",
    [
        ("reset-before-accept", "reset-after-accept"),
        ("status-502", "stall-1-after-accept"),
        ("html", "garbage-json-before-accept", "accept-late-0.8"),
    ],
)
def test_one_task_is_made_after_several_lost_answers(
    script: tuple[str, ...], sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", *script)

    outcome = engine.run(order()).result(30)

    assert outcome.path.is_file()
    assert len(sandbox.creates()) == len(script)
    assert len(sandbox.tasks()) == 1
    assert not sandbox.pending()


def test_an_attempt_is_sent_three_times_at_most_and_then_says_that_it_is_unknown(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(settle_seconds=0.2)
    sandbox.script("create", "status-502", "reset-before-accept", "html")

    with pytest.raises(OutcomeUnknown, match="sent 3 times") as caught:
        engine.run(order()).result(30)
    with pytest.raises(OutcomeUnknown):
        engine.run(order()).result(30)

    assert "Nothing more was submitted" in caught.value.hint
    assert len(sandbox.creates()) == 3
    assert not sandbox.tasks()
    assert not sandbox.pending()


@pytest.mark.parametrize(
    "look", ["status-500", "status-503", "html", "garbage-json", "reset", "not-found-once"]
)
def test_settling_goes_on_when_a_look_fails(
    look: str, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "reset-after-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, look, look)

    outcome = engine.run(order()).result(30)

    assert outcome.path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
    assert not sandbox.pending()


@pytest.mark.parametrize("look", ["status-401", "code-1200", "status-502", "html", "reset", "wrong-owner"])
def test_a_vendor_that_gives_no_answer_is_never_taken_for_a_vendor_without_the_task(
    look: str, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(settle_seconds=0.2)
    sandbox.script("create", "reset-after-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, *[look] * 60)

    with pytest.raises(OutcomeUnknown, match="not known whether"):
        engine.run(order()).result(30)
    assert len(sandbox.creates()) == 1

    sandbox.script("get")
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_the_list_is_asked_before_a_create_is_sent_again(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(settle_seconds=0.2)
    sandbox.script("create", "reset-after-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, *["code-1203"] * 60)
    sandbox.script("list", "status-502")

    with pytest.raises(OutcomeUnknown):
        engine.run(order()).result(30)
    assert len(sandbox.creates()) == 1
    sandbox.script("get")
    assert not sandbox.pending()

    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


@pytest.mark.parametrize("look", ["wrong-owner", "status-500", "status-502", "html", "garbage-json", "reset"])
@pytest.mark.parametrize("place", [0, 3], ids=["after a lost ledger", "right before the create"])
def test_nothing_is_posted_when_the_look_before_the_create_has_no_answer(
    look: str, place: int, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("get", *["ok"] * place, *[look] * 12)

    with pytest.raises(KlingOnceError):
        engine.run(order()).result(30)
    assert not sandbox.creates()

    sandbox.script("get")
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_a_passing_failure_of_the_look_before_the_create_is_looked_at_again(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("get", "ok", "ok", "ok", "status-503", "reset", "html")

    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
    assert not sandbox.pending()


def test_a_repeated_id_that_the_vendor_refuses_is_adopted(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    tmp_path: Path,
    generation: str,
) -> None:
    """Two machines without a shared ledger, in the same second: 1201, then the task of the other."""
    sandbox.set(duplicates_allowed=False)
    first = engines().run(order()).result(30)
    sandbox.script("get", *(["code-1201"] * 4 if generation == "legacy" else ["not-found-once"] * 2))

    other = engines(home=tmp_path / "other", results=tmp_path / "other-results").run(order()).result(30)

    assert other.attempt.task_id == first.attempt.task_id
    assert other.reused
    assert [call["status"] for call in sandbox.creates()] == [200, 400]
    assert len(sandbox.tasks()) == 1
    assert not sandbox.pending()


def test_a_refusal_after_a_lost_answer_is_told_when_all_creates_are_used_up(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    sandbox.script("create", "reset-before-accept", "code-1201", "code-1201")

    with pytest.raises(OutcomeUnknown, match=r"sent 3 times; the last answer was 1201 \(.+\), others"):
        engines(settle_seconds=0.2).run(order()).result(30)
    assert len(sandbox.creates()) == 3
    assert not sandbox.tasks()
    assert not sandbox.pending()


def test_a_host_that_cannot_be_reached_costs_nothing_and_is_tried_again_by_hand(
    sandboxes: Callable[..., SandboxControl], engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(sandbox_url="http://127.0.0.1:9")

    with pytest.raises(NeverSent, match="cannot be reached"):
        engine.run(order()).result(30)


@pytest.mark.parametrize("code", [1100, 1101, 1102, 1103, 1304])
def test_an_account_that_may_not_create_is_told_at_once_and_not_asked_again(
    code: int, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", f"code-{code}")

    with pytest.raises(ApiError, match=str(code)) as caught:
        engine.run(order()).result(30)

    assert caught.value.hint
    assert len(sandbox.creates()) == 1
    assert not sandbox.tasks()
    assert not sandbox.pending()


def test_a_refused_attempt_may_be_sent_again_under_the_same_id(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "code-1102")
    with pytest.raises(ApiError):
        engine.run(order()).result(30)

    outcome = engine.run(order()).result(30)

    assert outcome.attempt.number == 1
    assert outcome.attempt.external_id.endswith("-1")
    assert len(sandbox.creates()) == 2
    assert len(sandbox.tasks()) == 1


@pytest.mark.parametrize("code", [1002, 1102, 1200, 1301])
def test_a_refusal_after_a_lost_create_does_not_give_up_a_task_that_shows_late(
    code: int,
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    engine = engines(settle_seconds=0.1)
    sandbox.script("create", "accept-late-2.5", f"code-{code}")

    with pytest.raises(ApiError, match=str(code)):
        engine.run(order()).result(30)

    (row,) = ledger_file.rows()
    assert row["state"] == "unknown"
    assert row["units_reserved"] is not None
    eventually(sandbox.tasks, "the task that shows late")
    outcome = engine.run(order()).result(30)
    assert [task["task_id"] for task in sandbox.tasks()] == [outcome.attempt.task_id]
    assert len(sandbox.creates()) == 2


def test_a_refusal_after_a_lost_create_whose_task_shows_by_then_adopts_it(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(settle_seconds=0.01)
    sandbox.script("create", "accept-late-5", "code-1102")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, *["ok"] * 4, "stall-5.5")

    outcome = engine.run(order()).result(30)

    assert [task["task_id"] for task in sandbox.tasks()] == [outcome.attempt.task_id]
    assert not sandbox.pending()


def test_a_refusal_after_a_lost_create_may_come_as_often_as_the_user_asks(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    """A refused create is no lost one: it does not use up what may be sent."""
    engine = engines(settle_seconds=0.1)
    sandbox.script("create", "reset-before-accept", *["code-1102"] * 4)
    for _ in range(4):
        with pytest.raises(ApiError, match="1102"):
            engine.run(order()).result(30)

    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.tasks()) == 1
    assert not sandbox.pending()


def test_a_moderation_refusal_after_a_lost_create_is_sent_again_only_when_asked_to(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(settle_seconds=0.1)
    sandbox.script("create", "reset-before-accept", "code-1301")
    with pytest.raises(ApiError, match="1301"):
        engine.run(order()).result(30)

    for _ in range(2):
        with pytest.raises(TaskFailed, match="nothing was submitted again"):
            engine.run(order()).result(30)
    assert len(sandbox.creates()) == 2
    assert engine.run(order(again=True)).result(30).path.is_file()
    assert len(sandbox.tasks()) == 1


def looks_between_the_creates(sandbox: SandboxControl) -> list[int]:
    """Return what every look at the attempt's id was answered; the last is right before the create.

    That is the HTTP status, and 404 for a clear "there is no such task" of either generation.
    """
    calls = [call for call in sandbox.calls() if "pageNum" not in call["path"] and call["path"] != "/tasks"]
    first, second = [n for n, call in enumerate(calls) if call["method"] == "POST"]
    looks = [call for call in calls[first + 1 : second] if call["path"].endswith("-1")]
    return [404 if says_no(call) else call["status"] for call in looks]


def says_no(call: dict[str, Any]) -> bool:
    answer = call["answer"]
    return call["status"] == 400 or (isinstance(answer, dict) and answer.get("data") == [])


def test_a_create_is_sent_again_only_after_three_clear_answers_in_a_row(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(settle_seconds=1, poll_seconds=0.5)
    sandbox.script("create", "reset-before-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, "status-502", "status-502")

    assert engine.run(order()).result(30).path.is_file()
    assert looks_between_the_creates(sandbox) == [502, 502, *[404] * 3, 404]


@pytest.mark.parametrize("looks", [(), ("ok",), ("ok", "ok")])
def test_a_settling_resumed_late_does_not_send_again_on_fewer_than_three_clear_answers(
    looks: tuple[str, ...],
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    engine = engines(settle_seconds=0.1)
    sandbox.script("create", "reset-before-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, *["status-502"] * 30)
    with pytest.raises(OutcomeUnknown):
        engine.run(order()).result(30)
    ledger_file.execute("UPDATE attempts SET unknown_since = unknown_since - 86400000")
    sandbox.script("get", *looks, "status-502")

    with pytest.raises(OutcomeUnknown):
        engine.run(order()).result(30)
    assert len(sandbox.creates()) == 1

    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 2
    assert looks_between_the_creates(sandbox)[-4:] == [404] * 4
