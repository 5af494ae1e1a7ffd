"""Running a fleet: its tables, a home's jobs brought in, a worker without ComfyUI, a probe, an outage."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.conftest import HANGING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.fleet.conftest import Fleet
    from tests.postgresql import Postgresql
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

MANY = 1000


@pytest.fixture
def at(cli: Callable[..., Process], fleet: Fleet) -> Callable[..., Process]:
    """Start `kling-once ARGUMENTS` at a home of the fleet."""

    def start(name: str, *arguments: str | Path, **environment: str) -> Process:
        return cli(*arguments, **fleet.home(name), **environment)

    return start


def multiply(ledger: Path) -> None:
    """Make a thousand jobs of the one that a ledger holds."""
    with sqlite3.connect(ledger) as file:
        columns: dict[str, list[str]] = {
            table: [row[1] for row in file.execute(f"PRAGMA table_info({table})") if row[1] != "attempt_id"]
            for table in ("jobs", "attempts")
        }
        for table, names in columns.items():
            marked = {"job_key": "? || job_key", "task_id": "? || task_id", "external_id": "? || external_id"}
            chosen: list[str] = [marked.get(name, name) for name in names]
            count = sum(name in marked for name in names)
            file.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(chosen)} FROM {table} LIMIT 1",
                [(f"{number}-",) * count for number in range(MANY - 1)],
            )


def everything(fleet: Fleet) -> list[list[tuple[Any, ...]]]:
    return [fleet.execute(f"SELECT * FROM {table} ORDER BY 1") for table in ("jobs", "attempts", "notes")]


def test_the_tables_are_made_by_a_command_that_may_run_twice(
    postgresql: Postgresql, at: Callable[..., Process], fleet: Fleet
) -> None:
    fleet.database = postgresql.new_database()
    for _ in range(2):
        ended = at("one", "ledger", "migrate", "--json").end()
        assert ended.code == 0, ended.err
        assert "PostgreSQL" in ended.json["ledger"]
    assert fleet.attempts("attempt_id") == []


def test_a_home_of_a_thousand_jobs_is_brought_in_once(
    engine: Engine, order: Callable[..., Any], home: Path, at: Callable[..., Process], fleet: Fleet
) -> None:
    engine.run(order()).result(HANGING_SECONDS)
    engine.close()
    multiply(home / "ledger.db")

    first = at("one", "ledger", "import", home, "--json").end()
    seen = everything(fleet)
    second = at("one", "ledger", "import", home, "--json").end()

    assert first.json == {"jobs": MANY, "attempts": MANY, "known": 0, "left_out": []}
    assert second.json == {"jobs": 0, "attempts": 0, "known": MANY, "left_out": []}
    assert everything(fleet) == seen
    assert len(seen[1]) == MANY


def test_a_job_under_way_in_a_home_is_taken_over(
    leave_in_the_wait: Callable[..., None],
    order: Callable[..., Any],
    home: Path,
    at: Callable[..., Process],
    worker: Callable[..., Engine],
    sandbox: SandboxControl,
) -> None:
    leave_in_the_wait(order())
    assert at("one", "ledger", "import", home, "--json").end().json["attempts"] == 1

    assert worker("two").run(order()).result(HANGING_SECONDS).path.is_file()
    assert len(sandbox.creates()) == 1


def test_a_home_that_is_at_work_is_not_brought_in(
    sandbox: SandboxControl,
    engine: Engine,
    order: Callable[..., Any],
    home: Path,
    at: Callable[..., Process],
    fleet: Fleet,
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    engine.submit(order()).result(HANGING_SECONDS)

    ended = at("one", "ledger", "import", home, "--json").end()

    assert ended.code == 1
    assert "is worked on by" in ended.json["message"]
    assert fleet.attempts("attempt_id") == []


def test_what_is_taken_out_is_what_was_brought_in(
    engine: Engine,
    order: Callable[..., Any],
    home: Path,
    at: Callable[..., Process],
    tmp_path: Path,
    sandbox: SandboxControl,
) -> None:
    engine.run(order()).result(HANGING_SECONDS)
    engine.close()
    assert at("one", "ledger", "import", home, "--json").end().code == 0

    ended = at("one", "ledger", "export", tmp_path / "copy", "--json").end()

    assert ended.json["attempts"] == 1
    tables = [
        sqlite3.connect(folder / "ledger.db").execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for folder in (home, tmp_path / "copy")
        for table in ("attempts", "jobs")
    ]
    assert tables[:2] == tables[2:]


def test_the_ledger_of_a_home_is_not_brought_into_itself(cli: Callable[..., Process], home: Path) -> None:
    assert cli("ledger", "migrate").end().code == 0
    ended = cli("ledger", "import", home, "--json").end()
    assert ended.code == 1
    assert "is the one of that home" in ended.json["message"]


def test_a_worker_collects_what_others_have_left(
    sandbox: SandboxControl,
    at: Callable[..., Process],
    worker: Callable[..., Engine],
    order: Callable[..., Any],
    fleet: Fleet,
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = worker("one")
    for take in range(3):
        first.submit(order(take=take)).result(HANGING_SECONDS)
    first.close()
    sandbox.move(policy="polls", polls=3)

    ended = at("two", "worker", "--once", "--every", "0.1").end()

    assert ended.code == 0, ended.err
    assert fleet.states() == ["kept"] * 3
    assert len(fleet.results("two")) == 3
    assert len(sandbox.creates()) == 3


def test_a_worker_that_is_told_to_end_lets_go_and_ends_well(
    sandbox: SandboxControl,
    at: Callable[..., Process],
    worker: Callable[..., Engine],
    order: Callable[..., Any],
    fleet: Fleet,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = worker("one")
    first.submit(order()).result(HANGING_SECONDS)
    first.close()
    process = at("two", "worker", "--every", "0.1")
    eventually(lambda: fleet.attempts("owner") != [(None,)], "the worker's lease")

    process.signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.end().code == 0
    assert time.monotonic() - began < 5
    assert fleet.attempts("owner") == [(None,)]


AS_COMFYUI_DOES = """
import asyncio, sys, threading
from pathlib import Path
from kling_once.client import let_go_on_sigterm, shared_client
from kling_once.order import Order, VideoFile

picture, clip, results = map(Path, sys.argv[1:])

async def serve():
    loop = asyncio.get_running_loop()

    def work():
        client = shared_client(results=results)
        loop.call_soon_threadsafe(let_go_on_sigterm)
        client.run(Order(picture, VideoFile(clip))).result()

    threading.Thread(target=work, daemon=True).start()
    await asyncio.sleep(3600)

asyncio.run(serve())
"""


def test_a_program_that_does_not_handle_sigterm_lets_go_all_the_same(
    sandbox: SandboxControl,
    python: Callable[..., Process],
    fleet: Fleet,
    small_picture: Path,
    small_clip: Path,
    tmp_path: Path,
    eventually: Callable[..., Any],
) -> None:
    """ComfyUI is one: the signal ends it at once otherwise, and its leases run on."""
    sandbox.move(policy="polls", polls=100_000)
    arguments = map(str, (small_picture, small_clip, tmp_path / "out"))
    process = python("-c", AS_COMFYUI_DOES, *arguments, **fleet.home("one"))
    eventually(lambda: fleet.states() == ["submitted"], "the task")

    process.signal(signal.SIGTERM)

    began = time.monotonic()
    assert process.popen.wait(20) == -signal.SIGTERM
    assert time.monotonic() - began < 5
    assert fleet.attempts("owner") == [(None,)]


def test_while_the_server_is_gone_nothing_is_bought_and_what_runs_is_collected_afterwards(
    sandbox: SandboxControl,
    at: Callable[..., Process],
    run_at: Callable[..., Process],
    worker: Callable[..., Engine],
    order: Callable[..., Any],
    fleet: Fleet,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = worker("one")
    first.submit(order()).result(HANGING_SECONDS)
    first.close()
    process = at("two", "worker", "--every", "0.1")
    eventually(lambda: fleet.attempts("owner") != [(None,)], "the worker's lease")

    fleet.server.stop()
    try:
        refused = run_at("three", "--take", "1").end()
        sandbox.move(policy="at once")
        time.sleep(1)
    finally:
        fleet.server.start()

    assert refused.code == 1
    assert refused.json["error"] == "LedgerUnreachable"
    assert "does not answer" in refused.json["message"]
    assert len(sandbox.creates()) == 1
    eventually(lambda: fleet.states() == ["kept"], "the video", 100)
    process.signal(signal.SIGTERM)
    assert process.end().code == 0


def test_the_probe_fails_while_the_ledger_does(at: Callable[..., Process], fleet: Fleet) -> None:
    well = at("one", "doctor", "--json").end()
    assert (well.code, well.json["ledger"]["broken"]) == (0, False)

    fleet.server.stop()
    try:
        ended = at("one", "doctor", "--json").end()
    finally:
        fleet.server.start()

    assert ended.code == 1
    told = json.loads(ended.out)
    assert told["ledger"]["broken"]
    assert "does not answer" in told["ledger"]["text"]
