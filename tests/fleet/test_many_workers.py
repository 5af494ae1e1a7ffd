"""Twenty workers, one account: every order delivered, each paid once, the account never overfull."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.api.limits import MODELS, Mode
from kling_once.ledger.slots import PROBES, RAISE_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.conftest import Fleet
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.timeout(900)

IS_FULL = os.environ.get("KLING_ONCE_FLEET_SIZE") == "full"
"""The killed workers are as many as those that nobody kills, and their orders too: see CONTRIBUTING.md."""
PARALLEL = 5
HOMES = 4
UNITS = 3 * MODELS["kling-v2-6"].units_per_second[Mode.STD]
"""Of one order of the small clip."""


def dealt(workers: int, distinct: int, equal: int) -> list[list[int]]:
    """Return the takes that each worker orders; `equal` of all are ordered by two workers."""
    takes = [*range(distinct), *range(equal)]
    return [takes[start::workers] for start in range(workers)]


def environment(distinct: int, **more: str) -> dict[str, str]:
    return {
        "KLING_ONCE_MAX_PARALLEL": "100",
        "KLING_ONCE_MAX_UNITS_PER_DAY": str(distinct * UNITS),
        "KLING_ONCE_POLL_SECONDS": "0.5",
        "KLING_ONCE_SETTLE_SECONDS": "3",
        "KLING_ONCE_CREATE_SECONDS": "60",
        **more,
    }


def note_turns(fleet: Fleet) -> None:
    """Write down in which order attempts come to the line, and in which they may go."""
    fleet.execute(
        "CREATE TABLE turns (number serial, attempt_id int, what text);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO turns (attempt_id, what) VALUES (new.attempt_id, tg_argv[0]); RETURN new; END';"
        "CREATE TRIGGER come AFTER INSERT ON slots FOR EACH ROW EXECUTE FUNCTION note('came');"
        "CREATE TRIGGER go AFTER UPDATE OF taken_at ON slots FOR EACH ROW"
        " WHEN (new.taken_at IS NOT NULL) EXECUTE FUNCTION note('went');"
    )


def most_overtaken(fleet: Fleet) -> int:
    """Return by how many that came after it an order was overtaken at most.

    Whose turn it is counts: between that and its create lie calls that a busy machine may stretch.
    """
    came, went = (
        list(
            dict.fromkeys(
                attempt_id
                for (attempt_id,) in fleet.execute(
                    f"SELECT attempt_id FROM turns WHERE what = '{what}' ORDER BY number"
                )
            )
        )
        for what in ("came", "went")
    )
    places = [came.index(attempt_id) for attempt_id in went]
    assert len(places) == len(came)
    return max(sum(later > place for later in places[:position]) for position, place in enumerate(places))


def refusals(creates: list[dict[str, Any]]) -> int:
    return sum(call["status"] == 429 for call in creates)


def test_twenty_workers_buy_every_order_once_and_in_turn(
    sandbox: SandboxControl, order_at: Callable[..., Process], fleet: Fleet
) -> None:
    distinct, equal = 150, 50
    sandbox.set(parallel_limit=PARALLEL)
    sandbox.move(policy="polls", polls=1)
    note_turns(fleet)
    began = time.monotonic()

    started = [
        order_at(f"home-{number % HOMES}", takes, **environment(distinct))
        for number, takes in enumerate(dealt(20, distinct, equal))
    ]
    told = [item for process in started for item in process.end(800).json]

    raises = int((time.monotonic() - began) // RAISE_AFTER.total_seconds())
    creates = sandbox.creates()
    assert Counter(item.get("error") for item in told) == {None: distinct + equal}
    assert all(item["there"] for item in told)
    assert len(sandbox.tasks()) == distinct
    assert len({item["task_id"] for item in told}) == distinct
    assert refusals(creates) <= PROBES + raises, "none after the first learning but where time raises it"
    assert most_overtaken(fleet) <= PARALLEL
    (spent,) = fleet.execute("SELECT sum(units_reserved::numeric) FROM attempts")
    assert spent == (distinct * UNITS,)


class Supervisor(threading.Thread):
    """Starts a worker again until it has delivered everything, however often it is killed."""

    def __init__(self, start: Callable[[], Process], kills: list[float]) -> None:
        super().__init__(daemon=True)
        self.start_worker, self.kills = start, kills
        self.told: list[dict[str, Any]] = []
        self.rounds = 0

    def run(self) -> None:
        while self.rounds < 8:
            self.rounds += 1
            process = self.start_worker()
            if self.kills:
                time.sleep(self.kills.pop())
                process.kill()
                continue
            self.told = process.end(400).json
            if all("there" in item for item in self.told):
                return


def test_killed_workers_a_restarted_server_and_wrong_clocks_change_nothing(
    sandbox: SandboxControl,
    order_at: Callable[..., Process],
    pooled: Fleet,
    eventually: Callable[..., Any],
) -> None:
    workers, distinct, equal = (20, 150, 50) if IS_FULL else (8, 60, 20)
    sandbox.set(parallel_limit=PARALLEL)
    sandbox.move(policy="polls", polls=2)
    chance = random.Random(20261128)
    starting = threading.Lock()

    def worker(number: int, takes: list[int]) -> Supervisor:
        minutes = str(chance.choice([-10, 0, 10]))

        def start() -> Process:
            with starting:
                return order_at(
                    f"home-{number % HOMES}", takes, **environment(distinct, TEST_CLOCK_MINUTES=minutes)
                )

        kills = [chance.uniform(4, 15) for _ in range(chance.randrange(3))]
        return Supervisor(start, kills)

    supervisors = [worker(number, takes) for number, takes in enumerate(dealt(workers, distinct, equal))]
    for supervisor in supervisors:
        supervisor.start()
    eventually(lambda: len(sandbox.tasks()) > distinct // 4, "a quarter of the tasks", 300)
    pooled.server.stop()
    time.sleep(1)
    pooled.server.start()
    for supervisor in supervisors:
        supervisor.join(700)

    told = [item for supervisor in supervisors for item in supervisor.told]
    assert [item for item in told if "there" not in item] == []
    assert len(told) == distinct + equal
    assert len(sandbox.tasks()) == distinct
    assert sorted(set(pooled.states())) == ["kept"]
    (spent,) = pooled.execute("SELECT sum(units_reserved::numeric) FROM attempts")
    assert spent == (distinct * UNITS,)
