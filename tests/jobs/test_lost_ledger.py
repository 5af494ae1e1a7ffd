"""A ledger that is gone, or an old copy, buys nothing again."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import AccountError, TaskFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.outcome import Outcome
    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


@pytest.fixture
def run(engines: Callable[..., Any], sandbox: SandboxControl) -> Callable[..., Outcome]:
    """Run an order as a process would that starts and ends for it."""

    def once(order: Any) -> Outcome:
        engine = engines()
        try:
            return engine.run(order).result(30)
        finally:
            engine.close()

    return once


@pytest.mark.parametrize("with_results", [True, False], ids=["files here", "files gone"])
def test_a_deleted_ledger_does_not_buy_again(
    with_results: bool,
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    results: Path,
) -> None:
    first = run(order())
    ledger_file.lose()
    if not with_results:
        shutil.rmtree(results)

    again = run(order())

    assert again.reused
    assert again.path.is_file()
    assert again.attempt.task_id == first.attempt.task_id
    assert again.units == first.units
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


@pytest.mark.parametrize("with_results", [True, False], ids=["files here", "files gone"])
def test_a_ledger_deleted_after_failed_1_and_succeeded_2_does_not_buy_again(
    with_results: bool,
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    results: Path,
) -> None:
    sandbox.script("create", "task-failed")
    with pytest.raises(TaskFailed):
        run(order())
    second = run(order())
    assert second.attempt.number == 2
    ledger_file.lose()
    if not with_results:
        shutil.rmtree(results)

    again = run(order())

    assert again.reused
    assert again.path.is_file()
    assert again.attempt.task_id == second.attempt.task_id
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 2
    assert not sandbox.pending()


def test_a_ledger_deleted_after_a_failure_counts_that_failure(
    sandbox: SandboxControl, run: Callable[..., Outcome], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("create", "task-failed")
    with pytest.raises(TaskFailed):
        run(order())
    ledger_file.lose()

    second = run(order())

    assert second.attempt.external_id.endswith("-2")
    assert [task["task_status"] for task in sandbox.tasks()] == ["succeed", "failed"]


def test_a_ledger_deleted_after_a_failure_for_the_input_repeats_the_reason(
    sandbox: SandboxControl, run: Callable[..., Outcome], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("create", "task-failed-input")
    with pytest.raises(TaskFailed):
        run(order())
    ledger_file.lose()

    with pytest.raises(TaskFailed, match="No complete upper body"):
        run(order())
    assert len(sandbox.creates()) == 1


def test_a_ledger_deleted_during_the_wait_goes_on_with_the_task(
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    leave_in_the_wait: Callable[..., None],
) -> None:
    leave_in_the_wait(order())
    ledger_file.lose()

    assert run(order()).reused
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("ledger_kept", [True, False], ids=["ledger kept", "ledger gone"])
def test_a_sidecar_without_its_video_fetches_the_video_again_free(
    ledger_kept: bool,
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    first = run(order())
    first.path.unlink()
    if not ledger_kept:
        ledger_file.lose()

    again = run(order())

    assert again.reused
    assert again.path == first.path
    assert again.path.is_file()
    assert len(sandbox.creates()) == 1


def test_a_damaged_video_is_not_taken_for_the_result(
    sandbox: SandboxControl, run: Callable[..., Outcome], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    first = run(order())
    first.path.write_bytes(first.path.read_bytes()[:1000])
    ledger_file.lose()

    again = run(order())

    assert again.path.stat().st_size > 1000
    assert len(sandbox.creates()) == 1


def test_a_ledger_put_back_from_an_old_copy_does_not_buy_again(
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    tmp_path: Path,
) -> None:
    """The copy knows of the first, failed attempt alone; the second one succeeded."""
    sandbox.script("create", "task-failed")
    with pytest.raises(TaskFailed):
        run(order())
    copy = shutil.copy(ledger_file.path, tmp_path / "copy.db")
    second = run(order())
    ledger_file.lose()
    shutil.copy(copy, ledger_file.path)

    again = run(order())

    assert again.attempt.task_id == second.attempt.task_id
    assert len(sandbox.creates()) == 2


def test_a_moved_results_folder_is_found_by_its_sidecars(
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    results: Path,
) -> None:
    first = run(order(project="old"))
    (results / "sandbox" / "old").rename(results / "sandbox" / "sorted by hand")
    ledger_file.lose()
    calls = len(sandbox.calls())

    again = run(order(project="old"))

    assert again.path.parent.name == "sorted by hand"
    assert again.attempt.task_id == first.attempt.task_id
    assert len(sandbox.calls()) == calls, "a kept job needs nobody"


def test_a_result_that_was_renamed_by_hand_is_found_by_the_digits_of_its_key(
    sandbox: SandboxControl, run: Callable[..., Outcome], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    first = run(order())
    digits = first.attempt.job_key[2:10]
    renamed = first.path.with_name(f"hero shot_{digits} final.mp4")
    first.path.rename(renamed)
    first.path.with_suffix(".json").rename(renamed.with_suffix(".json"))
    ledger_file.lose()
    calls = len(sandbox.calls())

    assert run(order()).path == renamed
    assert len(sandbox.calls()) == calls, "a kept job needs nobody"


def test_a_kept_job_is_served_without_a_network(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    run: Callable[..., Outcome],
    order: Callable[..., Any],
) -> None:
    first = run(order())

    again = engines(sandbox_url="http://127.0.0.1:9").run(order()).result(10)

    assert again.path == first.path


def test_another_take_is_bought_on_purpose(
    sandbox: SandboxControl, run: Callable[..., Outcome], order: Callable[..., Any]
) -> None:
    first = run(order())
    second = run(order(take=1))

    assert second.path != first.path
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 2


def test_a_ledger_put_back_from_an_old_copy_serves_what_an_own_id_named(
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    tmp_path: Path,
) -> None:
    """The copy knows of a refusal alone; the task of that name was made afterwards."""
    sandbox.script("create", "code-1102")
    with pytest.raises(AccountError):
        run(order(external_task_id="shot-12"))
    copy = shutil.copy(ledger_file.path, tmp_path / "copy.db")
    kept = run(order(external_task_id="shot-12"))
    ledger_file.lose()
    shutil.copy(copy, ledger_file.path)

    again = run(order(external_task_id="shot-12"))

    assert again.path == kept.path
    assert again.attempt.task_id == kept.attempt.task_id
    assert len(sandbox.tasks()) == 1


def test_a_ledger_put_back_from_an_old_copy_serves_what_was_under_way_then(
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    leave_in_the_wait: Callable[..., None],
    tmp_path: Path,
) -> None:
    leave_in_the_wait(order())
    copy = shutil.copy(ledger_file.path, tmp_path / "copy.db")
    kept = run(order())
    ledger_file.lose()
    shutil.copy(copy, ledger_file.path)
    calls = len(sandbox.calls())

    again = run(order())

    assert again.path == kept.path
    assert again.units == kept.units
    assert ledger_file.states() == ["kept"]
    assert len(sandbox.calls()) == calls, "a kept job needs nobody"


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": "abc"},
        {"units_charged": "NaN"},
        {"vendor_created_at": "yesterday"},
        {"vendor_created_at": "2026-11-22T09:30:00"},
        {"profile": None},
        {"task_id": 7},
    ],
)
def test_a_sidecar_that_makes_no_sense_is_no_sidecar(
    change: dict[str, Any],
    sandbox: SandboxControl,
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    first = run(order())
    sidecar = first.path.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    ledger_file.lose()

    again = run(order())

    assert again.attempt.task_id == first.attempt.task_id
    assert again.path.is_file()
    assert len(sandbox.creates()) == 1


def test_a_moved_result_is_found_with_its_ledger_as_well(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    run: Callable[..., Outcome],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    results: Path,
) -> None:
    first = run(order(project="old"))
    (results / "sandbox" / "old").rename(results / "sandbox" / "sorted by hand")
    calls = len(sandbox.calls())

    again = run(order(project="old"))
    kept_only = engines().run(order(project="old", kept_only=True)).result(30)

    assert again.path == kept_only.path
    assert again.path.parent.name == "sorted by hand"
    assert again.attempt.task_id == first.attempt.task_id
    assert ledger_file.rows()[0]["result_path"] == f"sandbox/sorted by hand/{first.path.name}"
    assert len(sandbox.calls()) == calls, "a kept job needs nobody"


def test_a_moved_result_is_handed_over_where_only_kept_ones_are(
    run: Callable[..., Outcome], order: Callable[..., Any], results: Path
) -> None:
    run(order(project="old"))
    (results / "sandbox" / "old").rename(results / "sandbox" / "sorted by hand")

    again = run(order(project="old", kept_only=True))

    assert again.path.parent.name == "sorted by hand"


def test_an_edited_result_is_not_written_over(
    sandbox: SandboxControl, run: Callable[..., Outcome], order: Callable[..., Any]
) -> None:
    first = run(order())
    first.path.write_bytes(b"cut by the user")

    again = run(order())

    assert first.path.read_bytes() == b"cut by the user"
    assert again.path == first.path.with_name(first.path.name.replace(".mp4", "_2.mp4"))
    assert again.path.stat().st_size == again.attempt.result_size_bytes
    assert len(sandbox.creates()) == 1
    assert run(order()).path == again.path
