"""A ledger that cannot be written: nothing is bought, one line says why, and what runs is collected later."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.fleet.conftest import HANGING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.fleet.conftest import Fleet
    from tests.postgresql import Postgresql
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
FULL = (
    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100'',"
    " MESSAGE = ''could not extend file \"base/1\": No space left on device''; END'"
)
"""What the server says when its disk is full, said by the server itself: no test may fill a disk."""
TABLES: Final = ("jobs", "attempts", "notes", "slots", "rooms", "graphs", "workflows", "uploads")
REASONS: Final = {
    "read-only": "cannot be written: its server is a replica, or is set to read-only",
    "full disk": 'cannot be written: could not extend file "base/1": No space left on device',
    "gone": "does not answer",
}


@contextmanager
def read_only(server: Postgresql, database: str) -> Iterator[None]:
    """As providers do when a disk fills up: every new session of the database may only read."""
    server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    server.execute(CUT_OFF.format(database))
    yield
    server.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    server.execute(CUT_OFF.format(database))


@contextmanager
def full_disk(server: Postgresql, database: str) -> Iterator[None]:
    triggers = [
        f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION full_disk()"
        for table in TABLES
    ]
    server.execute(";".join((FULL, *triggers)), database)
    yield
    server.execute("DROP FUNCTION full_disk CASCADE", database)


@contextmanager
def gone(server: Postgresql, _database: str) -> Iterator[None]:
    server.stop()
    yield
    server.start()


TASKS: Final = 3
SOME_LOOKS_SECONDS: Final = 2.0
OUTAGES: Final = {"read-only": read_only, "full disk": full_disk, "gone": gone}


@pytest.fixture(params=[*OUTAGES])
def reason(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def outage(reason: str, fleet: Fleet) -> Callable[[], Any]:
    return lambda: OUTAGES[reason](fleet.server, fleet.database)


def test_nothing_is_bought_and_one_line_says_why(
    reason: str,
    outage: Callable[[], Any],
    sandbox: SandboxControl,
    cli: Callable[..., Process],
    fleet: Fleet,
    small_picture: Path,
    small_clip: Path,
) -> None:
    def run() -> Any:
        return cli("run", small_picture, small_clip, **fleet.home("one")).end()

    with outage():
        refused = run()

    assert refused.code == 1
    assert refused.err.count(REASONS[reason]) == 1, refused.err
    assert "Nothing is submitted without it" in refused.err
    assert sandbox.creates() == []
    assert run().code == 0
    assert len(sandbox.creates()) == 1


def test_a_worker_collects_afterwards_what_ended_meanwhile(
    reason: str,
    outage: Callable[[], Any],
    sandbox: SandboxControl,
    cli: Callable[..., Process],
    worker: Callable[..., Engine],
    order: Callable[..., Any],
    fleet: Fleet,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = worker("one")
    for take in range(TASKS):
        first.submit(order(take=take)).result(HANGING_SECONDS)
    first.close()
    process = cli("worker", "--every", "0.1", **fleet.home("two"))
    eventually(lambda: (None,) not in fleet.attempts("owner"), "the worker's leases")

    with outage():
        sandbox.move(policy="at once")
        eventually(lambda: REASONS[reason] in process.said, "the line")
        time.sleep(SOME_LOOKS_SECONDS)

    eventually(lambda: fleet.states() == ["kept"] * TASKS, "the videos")
    process.signal(signal.SIGTERM)
    ended = process.end()
    assert ended.code == 0
    assert len(sandbox.creates()) == TASKS
    assert ended.err.count(REASONS[reason]) <= 1 + TASKS, "one line, and one for each task that is told of"


def test_a_run_under_way_delivers_its_video(
    reason: str,
    outage: Callable[[], Any],
    sandbox: SandboxControl,
    worker: Callable[..., Engine],
    order: Callable[..., Any],
    fleet: Fleet,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kling_once.ledger.postgresql.PATIENCE_SECONDS", 0.3)
    sandbox.move(policy="polls", polls=100_000)
    engine = worker("one")
    running = engine.run(order())
    eventually(lambda: fleet.states() == ["submitted"], "the task")

    with outage():
        sandbox.move(policy="at once")
        assert running.result(HANGING_SECONDS).path.is_file()

    assert engine.run(order()).result(HANGING_SECONDS).path.is_file()
    assert fleet.states() == ["kept"]
    assert len(sandbox.creates()) == 1


def test_a_replica_shows_what_there_is_and_buys_once_it_is_promoted(
    sandbox: SandboxControl,
    cli: Callable[..., Process],
    run_at: Callable[..., Process],
    fleet: Fleet,
) -> None:
    assert run_at("one").end().code == 0
    replica = fleet.server.replica()
    try:
        there = fleet.home("two") | {"KLING_ONCE_LEDGER_URL": replica.url(fleet.database)}

        def at_replica(*arguments: str) -> Any:
            return cli(*arguments, "--json", **there).end()

        refused = run_at("two", "--take", "1", **there).end()
        assert refused.code == 1
        assert refused.json["error"] == "LedgerNotWritable"
        assert REASONS["read-only"] in refused.json["message"]
        assert len(at_replica("jobs").json) == 1
        probed = at_replica("doctor")
        assert probed.code == 1
        assert REASONS["read-only"] in probed.json["ledger"]["text"]
        assert len(sandbox.creates()) == 1

        replica.execute("SELECT pg_promote()")
        assert run_at("two", "--take", "1", **there).end().code == 0
        assert at_replica("doctor").code == 0
        assert len(sandbox.creates()) == 2
    finally:
        replica.remove()
