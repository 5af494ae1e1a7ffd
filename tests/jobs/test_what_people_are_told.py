"""Bought or reused, where a file lies, what a node's items cost together: said as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import BudgetReached, DiskFull, ResultGone
from kling_once.ledger.job import job_key
from kling_once.order import MotionControl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl


def test_a_fresh_order_that_is_submitted_and_collected_is_not_reused(
    engine: Any, order: Callable[..., Any]
) -> None:
    task_id = engine.submit(order()).result(30).task_id

    first = engine.collect(task_id).result(30)
    second = engine.collect(task_id).result(30)

    assert not first.reused
    assert "Reused" not in first.report()
    assert second.reused
    assert second.report().startswith("Reused")


def test_what_the_sandbox_states_is_said_to_be_what_kling_would_charge(
    engine: Any, order: Callable[..., Any]
) -> None:
    report = engine.run(order()).result(30).report()

    assert "Sandbox: nothing costs money." in report
    assert "\nAt Kling the charge would be: 1.5 units. That is 0.21 USD;" in report
    assert "Charge:" not in report


def test_what_one_process_submits_and_another_collects_is_not_reused(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    engine = engines()
    task_id = engine.submit(order()).result(30).task_id
    engine.close()
    sandbox.move(policy="at once")

    assert not engines().collect(task_id).result(30).reused


def test_another_project_on_a_finished_job_says_where_the_file_is(
    engine: Any, order: Callable[..., Any]
) -> None:
    first = engine.run(order(project="old")).result(30)
    assert not notes_of_the_place(first)

    again = engine.run(order(project="new")).result(30)

    assert again.path == first.path
    (told,) = notes_of_the_place(again)
    assert str(first.path.parent) in told
    assert not notes_of_the_place(engine.run(order(project="old")).result(30))


def notes_of_the_place(outcome: Any) -> list[str]:
    """Return the notes that name a folder; others are about the clip."""
    return [note for note in outcome.notes if str(outcome.path.parent) in note]


def test_a_sandbox_that_lost_its_state_is_said_to_have(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("get", *["ok"] * 4, *["not-found-once"] * 6)
    seen: list[str] = []

    with pytest.raises(ResultGone, match="the sandbox no longer knows task") as caught:
        engine.run(order(), lambda progress: seen.append(progress.text)).result(30)

    assert any("The sandbox does not know the task" in text for text in seen)
    assert "raise take" in caught.value.hint
    assert ledger_file.states() == ["expired"]
    assert engine.run(order(take=1)).result(30).path.is_file()


def test_a_results_subfolder_that_cannot_be_written_is_found_before_paying(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], results: Path
) -> None:
    (results / "sandbox").mkdir(parents=True)
    (results / "sandbox" / "film").write_text("in the way")

    with pytest.raises(DiskFull) as caught:
        engine.run(order(project="film")).result(30)

    assert "cannot be written" in caught.value.message
    assert "Move the file away" in caught.value.hint
    assert "room" not in str(caught.value)
    assert not sandbox.creates()


def test_the_caps_reserve_what_the_check_shows(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    shown = engine.check(order()).result(30).price
    engine.run(order()).result(30)
    (row,) = ledger_file.rows()
    assert Decimal(row["units_estimated"]) == Decimal(row["units_reserved"]) == shown.units


class TestItemsTogether:
    """Each item costs 1.5 units; the cap is 4."""

    @pytest.fixture
    def capped(self, sandbox: SandboxControl, engines: Callable[..., Any]) -> Any:
        return engines(max_units_per_prompt=Decimal(4))

    def test_a_list_that_cannot_be_afforded_buys_nothing(
        self, capped: Any, sandbox: SandboxControl, order: Callable[..., Any]
    ) -> None:
        items = [order(take=take, is_one_of_several=True) for take in range(3)]

        with pytest.raises(BudgetReached, match=r"3 items of this node together would reserve 4\.5 units"):
            capped.require_affordable(items).result(30)

        assert not sandbox.creates()

    def test_a_list_that_can_be_afforded_runs(
        self, capped: Any, sandbox: SandboxControl, order: Callable[..., Any]
    ) -> None:
        items = [order(take=take, is_one_of_several=True) for take in range(2)]

        capped.require_affordable(items).result(30)

        for item in items:
            assert capped.run(item).result(30).path.is_file()
        with pytest.raises(BudgetReached, match="Nothing was submitted for it"):
            capped.run(order(take=2)).result(30)
        assert len(sandbox.creates()) == 2

    def test_what_is_kept_or_equal_counts_once_or_not(
        self, capped: Any, sandbox: SandboxControl, order: Callable[..., Any]
    ) -> None:
        capped.run(order()).result(30)
        capped.require_affordable([order(), order(take=1), order(take=1), order()]).result(30)

    def test_an_item_without_a_price_counts_nothing(
        self, capped: Any, order: Callable[..., Any], tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no picture")
        capped.require_affordable([order(), order(take=1), order(image=broken, take=2)]).result(30)


SPELLINGS = ("dance", "dance ", " dance", "dance\n", "\r\ndance\t")


@pytest.mark.parametrize("prompt", SPELLINGS)
def test_white_space_around_a_prompt_makes_no_other_job(prompt: str) -> None:
    plain = job_key("global", MotionControl(prompt="dance"), "1" * 64, "2" * 64)
    assert job_key("global", MotionControl(prompt=prompt), "1" * 64, "2" * 64) == plain


def test_line_ends_make_no_other_job() -> None:
    texts = ("one\ntwo", "one\r\ntwo", "one\rtwo")
    assert len({job_key("global", MotionControl(prompt=text), "1" * 64, "2" * 64) for text in texts}) == 1
    assert MotionControl(prompt="one  two\n\nthree").prompt == "one  two\n\nthree"


def test_a_prompt_is_sent_without_white_space_around_it(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    engine.run(order(prompt=" dance\r\nslowly \n")).result(30)
    assert sandbox.creates()[0]["body"]["prompt"] == "dance\nslowly"
