"""Several homes, each with results of its own, that share one ledger on PostgreSQL."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from kling_once.jobs.engine import Engine
from kling_once.settings import load_settings
from tests.jobs.conftest import leave_in_the_wait, ledger_file
from tests.ledger.stores import migrated_database
from tests.postgresql import Pgbouncer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgresql import Postgresql
    from tests.process import Process

__all__ = ["leave_in_the_wait", "ledger_file"]

HANGING_SECONDS = 120.0
ORDERS = Path(__file__).with_name("orders.py")


@pytest.fixture
def eventually(eventually: Callable[..., Any]) -> Callable[..., Any]:
    """Wait longer than elsewhere: a fleet on a busy machine is slow, and that is no failure."""
    return lambda condition, what, seconds=HANGING_SECONDS: eventually(condition, what, seconds)


@dataclass
class Fleet:
    """One ledger, and homes on disks of their own."""

    server: Postgresql
    database: str
    folder: Path
    pooler: Pgbouncer | None = None

    @property
    def url(self) -> str:
        return self.server.url(self.database, self.pooler and self.pooler.port)

    def home(self, name: str) -> dict[str, str]:
        """Return the environment of a worker at home `name`."""
        return {
            "KLING_ONCE_HOME": str(self.folder / name / "home"),
            "KLING_ONCE_RESULTS": str(self.folder / name / "results"),
            "KLING_ONCE_LEDGER_URL": self.url,
        }

    def results(self, name: str) -> list[Path]:
        return sorted((self.folder / name / "results").rglob("*.mp4"))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.execute(statement, self.database)

    def attempts(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of every attempt, oldest first."""
        return self.execute(f"SELECT {', '.join(columns)} FROM attempts ORDER BY attempt_id")

    def states(self) -> list[str]:
        return [state for (state,) in self.attempts("state")]

    def bury(self, process: Process) -> None:
        """Let the leases of a killed process run out."""
        self.execute(f"UPDATE attempts SET lease_until = 0 WHERE owner LIKE '%-{process.popen.pid}-%'")


@pytest.fixture
def fleet(postgresql: Postgresql, tmp_path: Path, hermetic: None) -> Iterator[Fleet]:
    made = Fleet(postgresql, postgresql.new_database(migrated_database(postgresql)), tmp_path / "fleet")
    yield made
    postgresql.drop(made.database)


@pytest.fixture
def pooled(fleet: Fleet, tmp_path: Path) -> Iterator[Fleet]:
    """The same behind a pooler that gives every transaction another connection."""
    fleet.pooler = Pgbouncer(fleet.server)
    yield fleet
    fleet.pooler.remove()


@pytest.fixture
def worker(fleet: Fleet) -> Iterator[Callable[..., Engine]]:
    """Start an engine at a home of its own, in this process."""
    with ExitStack() as stack:

        def start(name: str, clock: Any = None, **settings: Any) -> Engine:
            environment = fleet.home(name)
            engine = Engine(
                load_settings(
                    home=Path(environment["KLING_ONCE_HOME"]),
                    results=Path(environment["KLING_ONCE_RESULTS"]),
                    ledger_url=SecretStr(fleet.url),
                    **settings,
                ),
                clock,
            )
            stack.callback(engine.close)
            return engine

        yield start


@pytest.fixture
def run_at(
    cli: Callable[..., Process], fleet: Fleet, small_picture: Path, small_clip: Path
) -> Callable[..., Process]:
    """Start `kling-once run` on the small inputs at a home."""

    def start(name: str, *options: str, **environment: str) -> Process:
        return cli("run", small_picture, small_clip, "--json", *options, **(fleet.home(name) | environment))

    return start


@pytest.fixture
def order_at(
    python: Callable[..., Process], fleet: Fleet, small_picture: Path, small_clip: Path
) -> Callable[..., Process]:
    """Start a process at a home that orders several takes at once, and prints what became of each."""

    def start(name: str, takes: list[int], **environment: str) -> Process:
        arguments = (str(small_picture), str(small_clip), json.dumps(takes))
        return python(str(ORDERS), *arguments, **fleet.home(name), **environment)

    return start
