"""A ledger of ten thousand jobs, and what is asked of it again and again; also for the benchmarks."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.job import Job, adopted_key
from kling_once.ledger.queries import Page, Shown
from kling_once.ledger.tables import attempts, jobs
from kling_once.order import MotionControl, Order, Sender, Service, Spender, VideoUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kling_once.ledger.ledger import Ledger
    from tests.ledger.stores import Store

    Work = Callable[[], Coroutine[Any, Any, Any]]

MANY = 10_000
TIMES = 15


def fill(ledger: Ledger, store: Store) -> None:
    """Keep ten thousand videos, a few hundred of them today."""
    columns = {"state": AttemptState.KEPT, "task_id": "0", "units_charged": "2", "seconds": "4"}
    sender = Sender("", "f", "legacy")
    key = adopted_key("global", "0")
    asyncio.run(
        ledger.adopt_task(
            key, "global", "https://kling", Service.KLING, "cats", sender=sender, columns=columns
        )
    )
    now = datetime.now(UTC)
    with ledger.database.write() as connection:
        job = dict(connection.execute(sa.select(jobs)).one()._mapping)
        attempt = dict(connection.execute(sa.select(attempts)).one()._mapping)
        del attempt["attempt_id"]
        keys = [f"v1{number:064x}" for number in range(MANY)]
        moments = [now - timedelta(minutes=3 * (MANY - number)) for number in range(MANY)]
        pairs = list(zip(keys, moments, strict=True))
        connection.execute(sa.insert(jobs), [job | {"job_key": key, "created_at": at} for key, at in pairs])
        connection.execute(
            sa.insert(attempts),
            [
                attempt | {"job_key": key, "task_id": key, "external_id": f"ko-{key}", "created_at": at}
                for key, at in pairs
            ],
        )
    if store.is_server:
        store.execute("ANALYZE")  # a server does it by itself, a minute later


def questions(ledger: Ledger) -> dict[str, Work]:
    """Return what is asked of a ledger by pages and orders."""
    order = Order(b"", VideoUrl("https://x/y"), MotionControl(), Service.KLING, spender=Spender("p", "n"))
    job = Job(f"v1{MANY - 1:064x}", "global", "https://kling", "i", "v", order)
    return {
        "list": lambda: ledger.list_jobs(Page()),
        "list of the kept ones": lambda: ledger.list_jobs(Page(shown=Shown.KEPT, offset=200)),
        "totals": ledger.totals,
        "spent": lambda: ledger.spent(Service.KLING, Spender("p", "n")),
        "step": lambda: ledger.step(job),
        "news": lambda: ledger.glance(None),
    }


def walk(ledger: Ledger) -> Work:
    """Return a plain look at every row once: how fast this machine is just now."""
    query = sa.select(sa.func.count(sa.distinct(attempts.c.job_key))).select_from(attempts.join(jobs))

    def look() -> int:
        with ledger.database.read() as connection:
            return connection.execute(query).scalar_one()

    return lambda: asyncio.to_thread(look)


async def seconds_of(work: Work, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Return how long each of several times took by a clock, the shortest first."""
    took = []
    for _ in range(TIMES):
        began = clock()
        await work()
        took.append(clock() - began)
    return sorted(took)
