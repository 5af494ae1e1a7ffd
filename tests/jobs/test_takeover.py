"""Several processes and one job: only the holder of the lease acts."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations

LOOKS_AFTER_A_LOST_LEDGER = ("ok",) * 3


def test_two_processes_with_the_same_job_at_the_same_moment_make_one_task(
    sandbox: SandboxControl, run_cli: Callable[..., Process]
) -> None:
    sandbox.move(policy="polls", polls=10)

    ended = [process.end() for process in [run_cli(), run_cli()]]

    assert [end.code for end in ended] == [0, 0]
    assert sorted(end.json["reused"] for end in ended) == [False, True]
    assert ended[0].json["path"] == ended[1].json["path"]
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_three_processes_on_a_home_that_does_not_exist_yet_make_one_task(
    sandbox: SandboxControl, run_cli: Callable[..., Process], home: Path
) -> None:
    assert not home.exists()
    sandbox.move(policy="polls", polls=10)

    ended = [process.end() for process in [run_cli() for _ in range(3)]]

    assert [end.code for end in ended] == [0] * 3
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_the_second_process_gets_the_failure_of_the_first_and_buys_nothing(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    cli: Callable[..., Process],
    small_picture: Path,
    small_clip: Path,
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("create", "task-failed")
    sandbox.move(policy="polls", polls=100_000)
    first = run_cli()
    eventually(lambda: ledger_file.states() == ["submitted"], "the task")
    second = cli("run", small_picture, small_clip)
    eventually(lambda: "another process works on it" in second.said, "the second process waits")
    sandbox.move(policy="at once")

    ended = [first.end(), second.end()]

    assert [end.code for end in ended] == [1, 1]
    assert "internal error" in ended[0].json["message"]
    assert "internal error" in ended[1].err
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


@pytest.fixture
def stopped_at(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> Callable[[Callable[[], Any]], Process]:
    """Stop (SIGSTOP) a process once `condition` holds, and let its lease run out."""

    def stop(condition: Callable[[], Any]) -> Process:
        process = run_cli(KLING_ONCE_CREATE_SECONDS="100")
        eventually(condition, "the moment to stop at")
        process.signal(signal.SIGSTOP)
        eventually(lambda: _is_stopped(process), "the stop")
        ledger_file.change(lease_until=0)
        return process

    return stop


def _is_stopped(process: Process) -> bool:
    with open(f"/proc/{process.popen.pid}/stat") as stat:  # noqa: PTH123 - not a file
        return stat.read().rpartition(")")[2].split()[0] == "T"


def _succeeds_alone(
    stopped: Process, run_cli: Callable[..., Process], sandbox: SandboxControl, results: Path
) -> None:
    """Let a second process take over and finish, wake the first: it must add nothing."""
    second = run_cli().end()
    assert second.code == 0, second.err
    video = next(results.rglob("*.mp4"))
    before = video.stat()
    creates = len(sandbox.creates())

    stopped.signal(signal.SIGCONT)
    woken = stopped.end()

    assert woken.code == 0, woken.err
    assert woken.json["task_id"] == second.json["task_id"]
    assert len(sandbox.creates()) == creates
    assert len(sandbox.tasks()) == 1
    after = video.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not list(results.rglob("*.part"))


def test_a_stopped_owner_does_not_post_after_a_takeover(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    stopped_at: Callable[..., Process],
    results: Path,
) -> None:
    sandbox.script("get", *LOOKS_AFTER_A_LOST_LEDGER, "stall-1")
    stopped = stopped_at(lambda: sandbox.met() == ["stall-1"])
    assert not sandbox.creates()

    _succeeds_alone(stopped, run_cli, sandbox, results)
    assert len(sandbox.creates()) == 1


def test_an_owner_stopped_in_mid_create_is_settled_not_repeated(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    stopped_at: Callable[..., Process],
    results: Path,
) -> None:
    sandbox.script("create", "stall-0.5-after-accept")
    stopped = stopped_at(sandbox.tasks)

    _succeeds_alone(stopped, run_cli, sandbox, results)
    assert len(sandbox.creates()) == 1


def test_an_owner_stopped_in_the_wait_writes_nothing_after_a_takeover(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    stopped_at: Callable[..., Process],
    results: Path,
    ledger_file: LedgerFile,
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    stopped = stopped_at(lambda: ledger_file.states() == ["submitted"])
    sandbox.move(policy="at once")
    sandbox.script("result", "ok", "status-500")

    _succeeds_alone(stopped, run_cli, sandbox, results)
    assert sandbox.pending() == ["status-500"], "the woken process downloaded too"


def test_an_owner_stopped_in_the_download_keeps_nothing_after_a_takeover(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    stopped_at: Callable[..., Process],
    results: Path,
) -> None:
    sandbox.script("result", "endless-stream")
    stopped = stopped_at(lambda: any(part.stat().st_size for part in results.rglob("*.part")))

    _succeeds_alone(stopped, run_cli, sandbox, results)
    assert len(sandbox.creates()) == 1


def test_a_living_owner_is_left_alone(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = run_cli()
    eventually(lambda: ledger_file.states() == ["submitted"], "the task")
    (row,) = ledger_file.rows()
    second = run_cli()
    eventually(lambda: len(list((ledger_file.path.parent / "owners").glob("*.lock"))) > 1, "the second")
    eventually(lambda: len(sandbox.calls()) > 30, "many polls")

    assert ledger_file.rows()[0]["owner"] == row["owner"]
    sandbox.move(policy="at once")
    assert first.end().json["reused"] is False
    assert second.end().json["reused"] is True
