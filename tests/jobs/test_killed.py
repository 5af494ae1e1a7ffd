"""kill -9 at every step, then the same command: one task, and the video."""

from __future__ import annotations

import signal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.api.limits import MODELS, Mode
from tests.fleet.conftest import ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations

LOOKS_AFTER_A_LOST_LEDGER = ("ok",) * 3


@pytest.fixture
def delivered(run_cli: Callable[..., Process], sandbox: SandboxControl) -> Callable[[], dict[str, Any]]:
    """Run the same command again: it must deliver the only task's video."""

    def again() -> dict[str, Any]:
        ended = run_cli().end()
        assert ended.code == 0, ended.err + ended.out
        tasks = sandbox.tasks()
        assert [task["task_id"] for task in tasks] == [ended.json["task_id"]]
        return ended.json

    return again


def test_kill_right_after_the_intent(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    delivered: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("get", *LOOKS_AFTER_A_LOST_LEDGER, "stall-60")
    process = run_cli()
    eventually(lambda: sandbox.met() == ["stall-60"], "the look before the create")
    process.kill()
    assert ledger_file.states() == ["intent"]
    assert not sandbox.creates()

    assert delivered()["reused"] is False
    assert len(sandbox.creates()) == 1


def test_kill_while_the_create_is_on_the_wire(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    delivered: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("create", "stall-1")
    process = run_cli()
    eventually(lambda: sandbox.met() == ["stall-1"], "the create")
    process.kill()
    assert not sandbox.tasks()

    delivered()
    assert len(sandbox.creates()) == 2


def test_kill_after_the_create_was_accepted_and_before_it_was_answered(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    delivered: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("create", "stall-60-after-accept")
    process = run_cli(KLING_ONCE_CREATE_SECONDS="100")
    eventually(sandbox.tasks, "the task")
    process.kill()
    assert ledger_file.states() == ["intent"]

    assert delivered()["reused"] is True
    assert len(sandbox.creates()) == 1


def test_kill_right_after_the_create_was_answered(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    delivered: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("get", *LOOKS_AFTER_A_LOST_LEDGER, "ok", "stall-60")
    process = run_cli()
    eventually(lambda: ledger_file.states() == ["submitted"], "the task id in the ledger")
    process.kill()

    assert delivered()["reused"] is True
    assert len(sandbox.creates()) == 1


def test_kill_during_the_wait(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    delivered: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    process = run_cli()
    eventually(lambda: len(sandbox.calls()) > 8, "several polls")
    process.kill()
    sandbox.move(policy="at once")

    assert delivered()["reused"] is True
    assert len(sandbox.creates()) == 1


def test_kill_during_the_download(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    delivered: Callable[[], dict[str, Any]],
    results: Path,
    eventually: Callable[..., Any],
) -> None:
    sandbox.script("result", "endless-stream")
    process = run_cli()
    eventually(lambda: any(part.stat().st_size for part in results.rglob("*.part")), "the first bytes")
    process.kill()
    assert ledger_file.states() == ["succeeded"]

    assert delivered()["reused"] is True
    assert len(sandbox.creates()) == 1
    assert not sandbox.pending()
    assert not list(results.rglob("*.part"))


def test_kill_between_the_file_and_the_ledger(
    sandbox: SandboxControl,
    python: Callable[..., Process],
    ledger_file: LedgerFile,
    delivered: Callable[[], dict[str, Any]],
    results: Path,
    small_picture: Path,
    small_clip: Path,
) -> None:
    dies = (
        "import os, signal, sys; from kling_once.jobs import collect;"
        "collect.kept_columns = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "from kling_once.cli.app import main; sys.argv[0] = 'kling-once'; main()"
    )
    process = python("-c", dies, "run", str(small_picture), str(small_clip), "--json")
    assert process.popen.wait(60) == -signal.SIGKILL
    assert ledger_file.states() == ["succeeded"]
    assert len(list(results.rglob("*.mp4"))) == 1

    assert delivered()["reused"] is True
    assert len(sandbox.creates()) == 1
    assert len(list(results.rglob("*.mp4"))) == 1


def test_kill_again_and_again_spends_once(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    delivered: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    """Killed at the intent, on the wire, while settling, and in the wait."""
    sandbox.move(policy="polls", polls=100_000)
    sandbox.script("get", *LOOKS_AFTER_A_LOST_LEDGER, "stall-60")
    first = run_cli()
    eventually(lambda: sandbox.met() == ["stall-60"], "the intent")
    first.kill()
    sandbox.script("create", "stall-60-after-accept")
    second = run_cli()
    eventually(sandbox.tasks, "the task")
    second.kill()
    sandbox.script("get", "stall-60")
    third = run_cli()
    eventually(lambda: ledger_file.states() == ["unknown"], "the settling")
    eventually(lambda: not sandbox.pending(), "the settling look")
    third.kill()
    fourth = run_cli()
    eventually(lambda: ledger_file.states() == ["submitted"], "the adopted task")
    fourth.kill()
    sandbox.move(policy="at once")

    assert delivered()["reused"] is True
    assert len(sandbox.creates()) == 1


def test_every_job_of_a_killed_process_is_taken_over_at_once(
    sandbox: SandboxControl,
    python: Callable[..., Process],
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    small_picture: Path,
    small_clip: Path,
    eventually: Callable[..., Any],
) -> None:
    """A server dies with two jobs under way; two processes after it each want one of them."""
    sandbox.move(policy="polls", polls=100_000)
    server = python(
        "-c",
        "import sys; from pathlib import Path; from kling_once.jobs.engine import Engine;"
        "from kling_once.order import *; from kling_once.settings import load_settings;"
        "e = Engine(load_settings());"
        "[f.result() for f in [e.run(Order(Path(sys.argv[1]), VideoFile(Path(sys.argv[2])),"
        " MotionControl(take=n))) for n in range(2)]]",
        str(small_picture),
        str(small_clip),
    )
    eventually(lambda: ledger_file.states() == ["submitted"] * 2, "two tasks")
    server.kill()
    sandbox.move(policy="at once")

    for take in range(2):
        ended = run_cli("--take", str(take)).end(30)
        assert ended.code == 0
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 2


def test_kill_between_the_sum_of_a_list_and_its_first_create(
    sandbox: SandboxControl,
    python: Callable[..., Process],
    ledger_file: LedgerFile,
    small_picture: Path,
    small_clip: Path,
    eventually: Callable[..., Any],
) -> None:
    """The day's limit has room for the list once: what the killed process had reserved is given back."""
    arguments = (str(ORDERS), str(small_picture), str(small_clip), "[0, 1, 2]")
    units = 3 * MODELS["kling-v2-6"].units_per_second[Mode.STD]
    environment = {"TEST_AS_LIST": "1", "KLING_ONCE_MAX_UNITS_PER_DAY": str(3 * units)}
    killed = python(*arguments, TEST_SENDS_NOTHING="1", **environment)
    eventually(lambda: ledger_file.states() == ["intent"] * 3, "every item's intent")
    killed.kill()
    assert not sandbox.creates()

    told = python(*arguments, **environment).end().json

    assert [item.get("there") for item in told] == [True] * 3, told
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 3
    assert sum(Decimal(row["units_reserved"]) for row in ledger_file.rows()) == 3 * units
