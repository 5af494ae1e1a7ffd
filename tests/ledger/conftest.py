"""Second processes, and a look into the ledger from outside, as the tests of jobs have them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from kling_once.clock import SystemClock
from tests.jobs.conftest import ledger_file
from tests.ledger.stores import PostgresqlStore, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kling_once.ledger.ledger import Ledger
    from tests.ledger.stores import Store

__all__ = ["ledger_file"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.fleet)])
def stores(request: pytest.FixtureRequest) -> Callable[[], Store]:
    """Return a maker of ledgers that nobody has used; a test that asks for it runs on either database."""
    if request.param == "sqlite":
        return SqliteStore
    server = request.getfixturevalue("postgresql")
    return lambda: PostgresqlStore(server)


@pytest.fixture
def store(stores: Callable[[], Store]) -> Iterator[Store]:
    made = stores()
    yield made
    made.close()


@pytest.fixture
def ledgers(store: Store) -> Iterator[Callable[[], Ledger]]:
    """Return what opens the ledger once more, as another process would."""
    with ExitStack() as stack:

        def start() -> Ledger:
            ledger = store.open(SystemClock())
            stack.callback(ledger.close)
            return ledger

        yield start


@pytest.fixture
def ledger(ledgers: Callable[[], Ledger]) -> Ledger:
    return ledgers()
