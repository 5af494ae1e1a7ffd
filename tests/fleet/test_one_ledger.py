"""Homes that share a ledger are one buyer: one task a job, one limit, one hold, whoever dies."""

from __future__ import annotations

import signal
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kling_once.api.limits import MODELS, Mode
from kling_once.order import Service, Spender
from kling_once.sandbox import DEFAULT_API_KEY
from tests.fleet.conftest import HANGING_SECONDS
from tests.open_ledger import ask_ledger
from tests.postgresql import free_port
from tests.slowness import Stopwatch, slowness

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from kling_once.jobs.engine import Engine
    from tests.fleet.conftest import Fleet
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

HOMES = ("one", "two", "three")


def test_two_homes_with_the_same_order_at_the_same_moment_make_one_task(
    sandbox: SandboxControl, run_at: Callable[..., Process], fleet: Fleet
) -> None:
    sandbox.move(policy="polls", polls=10)

    ended = [process.end() for process in [run_at("one"), run_at("two")]]

    assert [end.code for end in ended] == [0, 0], [end.err for end in ended]
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
    assert len({end.json["task_id"] for end in ended}) == 1
    assert [len(fleet.results(name)) for name in ("one", "two")] == [1, 1], "each on its own disk"


def test_the_limit_of_a_day_holds_over_three_homes_to_the_unit(
    sandbox: SandboxControl, order_at: Callable[..., Process], fleet: Fleet, worker: Callable[..., Engine]
) -> None:
    units = 3 * MODELS["kling-v2-6"].units_per_second[Mode.STD]
    environment = {"KLING_ONCE_MAX_UNITS_PER_DAY": str(4 * units)}

    takes = ([0, 1, 2], [3, 4, 5], [6, 7, 8])
    started = [order_at(name, some, **environment) for name, some in zip(HOMES, takes, strict=True)]
    told = [item for process in started for item in process.end().json]

    refused = [item["error"] for item in told if "error" in item]
    assert refused == ["BudgetReached"] * 5
    assert len(sandbox.tasks()) == 4
    spent = ask_ledger(worker("four"), lambda ledger: ledger.spent(Service.SANDBOX, Spender("", "")))
    assert spent.by_day == Decimal(4 * units)


def test_any_home_collects_what_another_has_submitted(
    sandbox: SandboxControl, worker: Callable[..., Engine], order: Callable[..., Any], fleet: Fleet
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = worker("one")
    attempt = first.submit(order()).result(HANGING_SECONDS)
    first.close()
    sandbox.move(policy="at once")

    outcome = worker("two").collect(attempt.job_key).result(HANGING_SECONDS)

    assert outcome.path.is_file()
    assert len(sandbox.creates()) == 1
    assert fleet.results("one") == []
    assert worker("three").run(order()).result(HANGING_SECONDS).path.is_file()
    assert len(sandbox.creates()) == 1


def test_hold_on_one_home_stops_all_at_once(
    sandboxes: Callable[..., SandboxControl],
    order_at: Callable[..., Process],
    worker: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:
    kling = sandboxes(parallel_limit=2)
    kling.move(policy="seconds", seconds=0.3)
    for name, value in {"KLINGAI_BASE_URL": kling.origin, "KLINGAI_API_KEY": DEFAULT_API_KEY}.items():
        monkeypatch.setenv(name, value)

    def start(name: str, takes: list[int]) -> Process:
        port = free_port()
        return order_at(
            name,
            takes,
            TEST_SERVICE="kling",
            KLING_ONCE_PUBLIC_URL=f"http://127.0.0.1:{port}",
            KLING_ONCE_GATEWAY_PORT=str(port),
            KLING_ONCE_MAX_UNITS_PER_DAY="100000",
        )

    started = [start(name, list(range(10 * place, 10 * place + 10))) for place, name in enumerate(HOMES)]
    eventually(lambda: len(kling.tasks()) >= 3, "the first tasks")

    ask_ledger(worker("four"), lambda ledger: ledger.hold())
    time.sleep(slowness())  # a second of a machine that does nothing else
    made = len(kling.tasks())

    told = [item for process in started for item in process.end().json]
    assert len(kling.tasks()) == made < 30
    held = [item for item in told if item.get("error") == "SubmissionsHeld"]
    assert len(held) == 30 - made
    assert all(item["there"] for item in told if "there" in item), "what runs is collected"


def test_a_worker_that_is_told_to_end_lets_go_within_five_seconds(
    sandbox: SandboxControl, run_at: Callable[..., Process], fleet: Fleet, eventually: Callable[..., Any]
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    first = run_at("one")
    eventually(lambda: fleet.states() == ["submitted"], "the task")
    second = run_at("two")
    ((owner,),) = fleet.attempts("owner")

    watch = Stopwatch()
    first.signal(signal.SIGTERM)
    eventually(lambda: fleet.attempts("owner") != [(owner,)], "the lease is let go")
    assert watch.seconds() < 5

    assert first.end().code == 143
    sandbox.move(policy="at once")
    assert second.end().code == 0
    assert len(sandbox.creates()) == 1


def test_a_home_waits_for_a_living_owner_in_another_home(
    sandbox: SandboxControl, run_at: Callable[..., Process], fleet: Fleet, eventually: Callable[..., Any]
) -> None:
    """On one machine, too: a lock file that this home does not have proves nothing."""
    sandbox.move(policy="polls", polls=100_000)
    first = run_at("one")
    eventually(lambda: fleet.states() == ["submitted"], "the task")
    ((owner,),) = fleet.attempts("owner")
    second = run_at("two")
    eventually(lambda: list((fleet.folder / "two" / "home" / "owners").glob("*.lock")), "the second worker")
    calls = len(sandbox.calls())
    eventually(lambda: len(sandbox.calls()) > calls + 40, "two seconds of polls")

    assert fleet.attempts("owner") == [(owner,)]
    sandbox.move(policy="at once")
    assert [first.end().json["reused"], second.end().json["reused"]] == [False, True]


def test_workers_that_are_killed_at_random_lose_nothing_and_buy_nothing_twice(
    sandbox: SandboxControl, order_at: Callable[..., Process], fleet: Fleet, eventually: Callable[..., Any]
) -> None:
    sandbox.move(policy="polls", polls=6)
    takes = list(range(6))
    killed = [order_at(name, takes) for name in HOMES]
    for number, process in enumerate(killed):
        eventually(lambda least=2 * number: len(sandbox.tasks()) >= least, "some tasks")
        process.kill()
        fleet.bury(process)

    (told,) = [process.end(100).json for process in [order_at("four", takes)]]

    assert [item.get("there") for item in told] == [True] * len(takes), told
    assert len(sandbox.tasks()) == len(takes)
    assert set(fleet.states()) == {"kept"}


def test_a_list_that_was_killed_before_its_first_create_is_bought_once_and_blocks_no_other(
    sandbox: SandboxControl, order_at: Callable[..., Process], fleet: Fleet, eventually: Callable[..., Any]
) -> None:
    """Killed after its sum was held against the limits and its units were reserved."""
    items = [0, 1, 2]
    units = 3 * MODELS["kling-v2-6"].units_per_second[Mode.STD]
    environment = {"TEST_AS_LIST": "1", "KLING_ONCE_MAX_UNITS_PER_DAY": str(len(items) * units)}
    killed = order_at("one", items, TEST_SENDS_NOTHING="1", **environment)
    eventually(
        lambda: fleet.attempts("state", "units_reserved::numeric") == [("intent", units)] * len(items),
        "every item's intent",
    )
    killed.kill()
    fleet.bury(killed)
    assert sandbox.creates() == []

    told = (
        order_at("two", [7], **environment).end().json
        + order_at("three", items[:2], **environment).end().json
    )

    assert [item.get("there") for item in told] == [True] * 3, told
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 3
    (last,) = order_at("one", items[2:], **environment).end().json
    assert last["error"] == "BudgetReached", "the day's units are spent"
    spent = fleet.execute("SELECT sum(units_reserved::numeric) FROM attempts")
    assert spent == [(len(items) * units,)]
