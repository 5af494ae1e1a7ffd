"""A run that nobody wants any more gives its place back at once, wherever it waits, and sends nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.jobs.progress import Stage
from kling_once.jobs.services import CLIENTS
from tests.host.relay import Relay
from tests.slowness import slowness

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.engine import Engine
    from kling_once.order import Order
    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations

AT_ONCE_SECONDS = 0.1
AT_ONCE_ROUND_TRIPS = 100


@pytest.fixture
def let_go(eventually: Callable[..., Any]) -> Callable[..., None]:
    """Let go of a job once it waits where it should; its end is counted in round trips to the same loop.

    A machine that is busy slows both down, and a run that waits for its next look is many of them late.
    """

    async def nothing() -> None:
        return

    def let_go(engine: Engine, future: Any, text: str) -> None:
        def waiting() -> list[str]:
            return [key for key, news in engine.under_way().items() if text in news.text]

        (key,) = eventually(waiting, text)
        future.cancel()
        began, round_trips = time.monotonic(), 0
        while key in engine.under_way():
            engine.ask(nothing()).result(10)
            round_trips += 1
            late_seconds = time.monotonic() - began
            assert late_seconds <= AT_ONCE_SECONDS or round_trips <= AT_ONCE_ROUND_TRIPS

    return let_go


def test_while_it_waits_for_a_slot(
    sandbox: SandboxControl,
    engines: Callable[..., Engine],
    order: Callable[..., Order],
    ledger_file: LedgerFile,
    let_go: Callable[..., None],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    engine = engines(max_parallel=1)
    engine.submit(order(take=1)).result(30)

    let_go(engine, engine.run(order(take=2)), "waiting for one of this server's places")

    assert len(sandbox.creates()) == 1
    assert [row["units_reserved"] is None for row in ledger_file.rows()] == [False, True]
    assert ledger_file.rows()[1]["owner"] is None


def test_while_another_process_holds_the_lease(
    sandbox: SandboxControl,
    engines: Callable[..., Engine],
    order: Callable[..., Order],
    let_go: Callable[..., None],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    holder, other = engines(), engines()
    holder.submit(order()).result(30)

    let_go(other, other.run(order()), "another process works on it")

    assert len(sandbox.creates()) == 1
    assert holder.under_way()


def test_while_its_clip_is_uploaded(
    sandbox: SandboxControl,
    engines: Callable[..., Engine],
    order: Callable[..., Order],
    ledger_file: LedgerFile,
    let_go: Callable[..., None],
) -> None:
    with Relay(sandbox.origin, b"POST /sandbox/files ") as relay:
        relay.hold()
        engine = engines(sandbox_url=relay.origin)
        let_go(engine, engine.run(order()), "handing the clip over")
        relay.let_through()
    assert sandbox.creates() == []
    assert ledger_file.rows()[0]["units_reserved"] is None


def test_while_the_account_is_full(
    sandbox: SandboxControl,
    engine: Engine,
    order: Callable[..., Order],
    ledger_file: LedgerFile,
    let_go: Callable[..., None],
) -> None:
    sandbox.script("create", *["code-1303"] * 1000)

    let_go(engine, engine.run(order()), "the account is full (1303)")

    assert sandbox.tasks() == []
    assert ledger_file.rows()[0]["units_reserved"] is None
    sandbox.script("create")
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.tasks()) == 1


def test_one_of_two_who_wait_lets_go_and_the_other_gets_the_video(
    sandbox: SandboxControl, engine: Engine, order: Callable[..., Order], eventually: Callable[..., Any]
) -> None:
    sandbox.script("create", *["code-1303"] * 3)
    first, second = engine.run(order()), engine.run(order())
    eventually(lambda: [one.stage for one in engine.under_way().values()] == [Stage.QUEUE], "the queue")
    first.cancel()

    assert second.result(30).path.is_file()
    assert len(sandbox.tasks()) == 1


def test_while_its_create_is_on_the_wire_of_an_account_that_is_full(
    sandbox: SandboxControl,
    engine: Engine,
    order: Callable[..., Order],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    generation: str,
) -> None:
    """The refused create waits behind one that came first: nobody would call it to its turn."""
    kind = CLIENTS[generation]
    create, answered = kind.create, threading.Event()

    async def held(client: Any, *arguments: Any) -> Any:
        await asyncio.to_thread(answered.wait, 60)
        return await create(client, *arguments)

    monkeypatch.setattr(kind, "create", held)
    sandbox.script("create", *["code-1303"] * 1000)
    first = engine.run(order(take=1))
    eventually(lambda: [one.stage for one in engine.under_way().values()] == [Stage.SUBMIT], "the first")
    second = engine.run(order(take=2))
    eventually(lambda: [one.stage for one in engine.under_way().values()] == [Stage.SUBMIT] * 2, "both")
    second.cancel()
    answered.set()
    eventually(lambda: len(engine.under_way()) == 1, "the end of the second", seconds=10 * slowness())
    first.cancel()
    assert sandbox.tasks() == []
    assert ledger_file.rows()[1]["units_reserved"] is None
