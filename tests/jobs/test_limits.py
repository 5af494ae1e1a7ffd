"""The account's parallel limit, and our own spending limits, under many jobs at once."""

from __future__ import annotations

import signal
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import AccountError, BudgetReached
from kling_once.jobs.progress import Stage
from kling_once.jobs.recovery import Wanted
from kling_once.ledger.ledger import Ledger
from kling_once.order import Service, Spender
from kling_once.sandbox.faults import ODD_CHARGES
from tests.open_ledger import ask_ledger, open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.order import Order
    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

RESERVED = "1.5"
"""The units of the small clip's 3 s."""

MANY = """
import json, sys
from pathlib import Path
from kling_once.errors import KlingOnceError
from kling_once.jobs.engine import Engine
from kling_once.order import MotionControl, Order, Spender, VideoFile
from kling_once.settings import load_settings

picture, clip, first, count, prompt_id = sys.argv[1:]
engine = Engine(load_settings())
orders = [
    Order(Path(picture), VideoFile(Path(clip)), MotionControl(take=take), spender=Spender(prompt_id, "node"))
    for take in range(int(first), int(first) + int(count))
]
errors = [type(future.exception(100)).__name__ for future in [engine.run(order) for order in orders]]
engine.close()
print(json.dumps(errors))
"""


@pytest.fixture
def many(python: Callable[..., Process], small_picture: Path, small_clip: Path) -> Callable[..., Process]:
    """Order several takes at once in a process of its own."""

    def start(first: int, count: int, prompt_id: str = "prompt", **environment: str) -> Process:
        arguments = (str(small_picture), str(small_clip), str(first), str(count), prompt_id)
        return python("-c", MANY, *arguments, **environment)

    return start


def test_twelve_jobs_at_a_parallel_limit_of_three_all_finish(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    sandbox.set(parallel_limit=3)
    sandbox.move(policy="polls", polls=100_000)
    engine = engines(max_parallel=12)

    futures = [engine.run(order(take=take)) for take in range(12)]
    eventually(lambda: any(call["status"] == 429 for call in sandbox.creates()), "the limit is met")
    sandbox.move(policy="polls", polls=3)

    assert len({future.result(60).path for future in futures}) == 12
    assert len(sandbox.tasks()) == 12


def test_twelve_jobs_of_three_processes_at_a_parallel_limit_of_three_all_finish(
    sandbox: SandboxControl, many: Callable[..., Process]
) -> None:
    sandbox.set(parallel_limit=3)
    sandbox.move(policy="polls", polls=3)

    ended = [p.end(90) for p in [many(n, 4, KLING_ONCE_MAX_PARALLEL="4") for n in (0, 4, 8)]]

    assert [end.json for end in ended] == [["NoneType"] * 4] * 3
    assert len(sandbox.tasks()) == 12


def test_our_own_limit_keeps_the_account_from_being_full(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    sandbox.set(parallel_limit=3)
    sandbox.move(policy="polls", polls=2)
    engine = engines(max_parallel=3)

    for future in [engine.run(order(take=take)) for take in range(8)]:
        assert future.result(60).path.is_file()
    assert [call["status"] for call in sandbox.creates()] == [200] * 8


def test_those_who_wait_for_a_place_look_at_the_line_together(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:
    """A look costs several transactions of a server that all workers share."""
    sandbox.set(parallel_limit=1)
    sandbox.move(policy="polls", polls=100_000)
    looks: list[float] = []
    look = Ledger.line

    async def counted(*args: Any) -> Any:
        looks.append(time.monotonic())
        return await look(*args)

    monkeypatch.setattr(Ledger, "line", counted)
    engine = engines(max_parallel=12, poll_seconds=0.5)
    for take in range(12):
        engine.run(order(take=take))
    eventually(lambda: len(_in_line(engine)) == 11, "the line")
    looks.clear()
    eventually(lambda: looks and looks[-1] - looks[0] >= 3, "three seconds of looks")

    assert len(looks) <= 2 * 3 / 0.5, "eleven who look for themselves would look 66 times"


def test_those_who_wait_for_a_place_are_served_in_the_order_they_came(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    sandbox.set(parallel_limit=1)
    sandbox.move(policy="polls", polls=100_000)
    engine = engines(max_parallel=12)
    futures = []
    for take in range(6):
        futures.append(engine.run(order(prompt=f"number {take}", take=take)))
        eventually(
            lambda take=take: (
                any(c["body"].get("prompt") == f"number {take}" for c in sandbox.creates())
                or (take > 1 and f"number {take}" in {row.prompt for row in _jobs(engine)})
            ),
            "the order",
        )
    sandbox.move(policy="polls", polls=2)

    for future in futures:
        future.result(60)

    accepted = [c["body"]["prompt"] for c in sandbox.creates() if c["status"] == 200]
    assert accepted == [f"number {take}" for take in range(6)]


def _in_line(engine: Any) -> list[str]:
    """Return the jobs that Kling refused, or that wait behind those."""
    found = engine.under_way().items()
    return [key for key, progress in found if progress.stage is Stage.QUEUE and "place" in progress.text]


def _jobs(engine: Any) -> list[Any]:
    from kling_once.ledger.tables import jobs  # noqa: PLC0415

    with open_ledger(engine).database.read() as connection:
        return list(connection.execute(jobs.select()))


@pytest.mark.parametrize("code", [1302, 1303])
def test_a_busy_account_is_waited_for_and_nothing_is_counted_as_sent(
    code: int, sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("create", *[f"code-{code}"] * 5)

    outcome = engine.run(order()).result(30)

    assert outcome.path.is_file()
    assert ledger_file.rows()[0]["posts"] == 1
    assert len(sandbox.tasks()) == 1
    assert not sandbox.pending()


@pytest.mark.parametrize("place", [0, 3], ids=["after a lost ledger", "right before the create"])
def test_an_account_too_busy_to_be_asked_is_waited_for(
    place: int, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("get", *["ok"] * place, *["code-1302", "code-1303"] * 8)

    assert engine.run(order()).result(60).path.is_file()
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
    assert not sandbox.pending()


def test_an_order_that_everybody_let_go_of_does_not_wait_for_a_busy_account(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    sandbox.script("get", *["code-1302"] * 500)
    future = engine.run(order())
    eventually(lambda: "full" in "".join(news.text for news in engine.under_way().values()), "the wait")

    future.cancel()

    eventually(lambda: not engine.under_way(), "the end of the order")
    assert not sandbox.creates()


def test_an_empty_pack_ends_at_once_with_advice_and_no_second_try(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("create", "code-1102")

    with pytest.raises(AccountError, match="resource pack is used up") as caught:
        engine.run(order()).result(30)

    assert "Buy a video pack" in caught.value.hint
    assert len(sandbox.creates()) == 1


def test_a_day_limit_holds_under_twenty_jobs_of_one_process(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    """Each takes 1.5 units, counted as 1.5 before and after."""
    engine = engines(max_units_per_day=Decimal(10), max_parallel=20)
    futures = [engine.run(order(take=take, spender=Spender(f"prompt {take}", "node"))) for take in range(20)]

    errors = [future.exception(60) for future in futures]

    assert errors.count(None) == 6
    assert all(isinstance(error, BudgetReached) for error in errors if error is not None)
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 6


def test_a_prompt_limit_holds_under_twenty_jobs_of_one_process(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(max_units_per_prompt=Decimal("4.5"), max_parallel=20)
    futures = [engine.run(order(take=take)) for take in range(20)]
    elsewhere = engine.run(order(take=99, spender=Spender("another prompt", "node")))

    errors = [future.exception(60) for future in futures]

    assert errors.count(None) == 3
    assert all("KLING_ONCE_MAX_UNITS_PER_PROMPT" in str(error) for error in errors if error)
    assert elsewhere.result(30).path.is_file()
    assert len(sandbox.creates()) == 4


def test_a_day_and_a_prompt_limit_hold_under_twenty_jobs_of_two_processes(
    sandbox: SandboxControl, many: Callable[..., Process]
) -> None:
    limits = {"KLING_ONCE_MAX_UNITS_PER_DAY": "9", "KLING_ONCE_MAX_UNITS_PER_PROMPT": "6"}

    processes = [many(10 * n, 10, prompt, **limits) for n, prompt in enumerate(("one", "two"))]
    errors = [process.end(90).json for process in processes]

    assert sum(each.count("NoneType") for each in errors) == 6
    assert all(each.count("NoneType") <= 4 for each in errors)
    assert {name for each in errors for name in each} == {"NoneType", "BudgetReached"}
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 6


def test_a_nodes_own_limit_counts_over_all_its_items(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    futures = [engine.run(order(take=take, max_units=Decimal(3))) for take in range(4)]

    errors = [future.exception(60) for future in futures]

    assert errors.count(None) == 2
    assert all("(max_units)" in str(error) for error in errors if error)
    assert len(sandbox.creates()) == 2


def test_a_refused_create_gives_its_units_back(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(max_units_per_day=Decimal(2))
    sandbox.script("create", "code-1101")
    with pytest.raises(AccountError):
        engine.run(order()).result(30)

    assert engine.run(order(take=1)).result(30).path.is_file()


def leave_unknown(sandbox: SandboxControl, engine: Any, order: Order) -> None:
    """Order while the answer to the create is lost, and Kling does not say afterwards what became of it."""
    sandbox.script("create", "reset-after-accept")
    sandbox.script("get", *["ok"] * 4, *["status-502"] * 20)
    with pytest.raises(Exception, match="not known whether"):
        engine.run(order).result(30)
    sandbox.script("get")


def test_an_unknown_attempt_keeps_its_units_reserved(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(max_units_per_day=Decimal(2), settle_seconds=0.1)
    leave_unknown(sandbox, engine, order())

    with pytest.raises(BudgetReached):
        engine.run(order(take=1)).result(30)
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("kind", ODD_CHARGES)
def test_a_charge_of_unknown_size_keeps_its_units_reserved(
    kind: str, sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine = engines(max_units_per_day=Decimal(2))
    sandbox.script("create", f"charge-{kind}")
    assert engine.run(order()).result(30).path.is_file()

    with pytest.raises(BudgetReached):
        engine.run(order(take=1)).result(30)
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize(
    ("units", "cash", "unread", "counted"),
    [
        ("1", None, None, "1"),
        ("0", None, None, "0"),
        ("1", "0", None, "1"),
        (None, "0", None, "0"),
        (None, "0.7", None, RESERVED),
        (None, None, "much", RESERVED),
        (None, None, None, RESERVED),
        ("1", "0.7", None, RESERVED),
        ("1", None, "much", RESERVED),
        ("8", "0.7", None, "8"),
    ],
)
def test_units_charged_count_where_nothing_is_charged_beside_them(
    units: str | None,
    cash: str | None,
    unread: str | None,
    counted: str,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    engine.run(order()).result(30)
    charge = {"units_charged": units, "cash_charged": cash, "unread_charge": unread}
    ledger_file.change(**charge)
    spent = ask_ledger(engine, lambda ledger: ledger.spent(Service.SANDBOX, Spender("other")))
    assert spent.by_day == Decimal(counted)


def test_a_task_found_after_its_units_were_given_back_counts_again(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    engine = engines(settle_seconds=0.1)
    leave_unknown(sandbox, engine, order())
    ledger_file.change(units_reserved=None)

    assert engine.run(order()).result(30).attempt.units_reserved == Decimal(RESERVED)


def test_an_intent_of_yesterday_counts_on_the_day_it_is_sent(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    engine = engines(max_units_per_day=Decimal(2))
    sandbox.script("get", "ok", "ok", "ok", *["status-502"] * 12)
    with pytest.raises(Exception, match="did not answer"):
        engine.run(order()).result(30)
    sandbox.script("get")
    ledger_file.execute("UPDATE attempts SET created_at = created_at - 2 * 86400000")

    assert engine.run(order()).result(30).path.is_file()
    with pytest.raises(BudgetReached):
        engine.run(order(take=1)).result(30)
    assert len(sandbox.creates()) == 1


def test_results_found_after_a_lost_ledger_count_against_no_limit(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    before = engines()
    for take in range(3):
        before.run(order(take=take)).result(30)
    before.close()
    ledger_file.lose()
    engine = engines(max_units_per_prompt=Decimal(2), max_units_per_day=Decimal(2))
    now = Spender("now", "node")

    for take in range(3):
        assert engine.run(order(take=take, spender=now)).result(30).reused
    assert engine.run(order(take=3, spender=now)).result(30).path.is_file()
    with pytest.raises(BudgetReached):
        engine.run(order(take=4, spender=now)).result(30)
    assert len(sandbox.creates()) == 4


def test_tasks_fetched_from_the_account_count_against_no_limit(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], tmp_path: Path
) -> None:
    other = engines(home=tmp_path / "other", results=tmp_path / "other-results")
    tasks = [other.run(order(take=take)).result(30).attempt.task_id for take in range(3)]
    engine = engines(max_units_per_day=Decimal(2))
    for task_id in tasks:
        assert engine.fetch(Wanted(task_id, Service.SANDBOX)).result(30).path.is_file()

    assert engine.run(order(take=3)).result(30).path.is_file()


def test_a_task_fetched_while_its_create_is_unknown_counts_once(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    engine = engines(max_units_per_day=Decimal(3), settle_seconds=0.1)
    leave_unknown(sandbox, engine, order())
    name = ledger_file.rows()[0]["external_id"]
    engine.fetch(Wanted(name, Service.SANDBOX, by_external_id=True)).result(30)

    assert engine.run(order(take=1)).result(30).path.is_file()
    with pytest.raises(BudgetReached):
        engine.run(order(take=2)).result(30)


def test_a_process_killed_before_its_create_holds_no_units(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    limit = {"KLING_ONCE_MAX_UNITS_PER_DAY": "2"}
    sandbox.script("get", "ok", "ok", "ok", "stall-60")
    process = run_cli(**limit)
    eventually(lambda: sandbox.met() == ["stall-60"], "the look before the create")
    process.kill()
    ledger_file.change(lease_until=0)

    assert run_cli("--take", "1", **limit).end().code == 0
    assert len(sandbox.creates()) == 1


def test_a_process_stopped_before_its_create_reserves_again_when_its_units_went_to_another(
    sandbox: SandboxControl,
    run_cli: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    """Its lease ran out meanwhile, and nobody took its attempt over."""
    limit = {"KLING_ONCE_MAX_UNITS_PER_DAY": "2"}
    sandbox.script("get", "ok", "ok", "ok", "stall-1")
    stopped = run_cli(**limit)
    eventually(lambda: sandbox.met() == ["stall-1"], "the look before the create")
    stopped.signal(signal.SIGSTOP)
    ledger_file.change(lease_until=0)
    assert run_cli("--take", "1", **limit).end().code == 0

    stopped.signal(signal.SIGCONT)
    woken = stopped.end()

    assert woken.code == 1
    assert woken.json["error"] == "BudgetReached"
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1


def test_what_a_wrong_clock_dated_far_ahead_does_not_count_today(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    engine = engines(max_units_per_day=Decimal(2))
    engine.run(order()).result(30)
    ledger_file.execute("UPDATE attempts SET created_at = created_at + 20 * 86400000")

    assert engine.run(order(take=1, spender=Spender("another"))).result(30).path.is_file()
    with pytest.raises(BudgetReached):
        engine.run(order(take=2, spender=Spender("third"))).result(30)
