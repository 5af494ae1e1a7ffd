"""Medians of what pages and orders ask of a ledger of 10,000 jobs, on SQLite and PostgreSQL.

Needs what the lane `fleet` needs: PostgreSQL's programs, and the packages of the extra `test`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from kling_once.clock import SystemClock  # noqa: E402 - after the path is set
from tests.ledger.many_jobs import fill, questions, seconds_of, walk  # noqa: E402 - likewise
from tests.ledger.stores import PostgresqlStore, SqliteStore, Store  # noqa: E402 - likewise
from tests.postgresql import Postgresql, require_programs  # noqa: E402 - likewise


def main() -> None:
    """Print a table row for each question."""
    server = Postgresql(require_programs())
    try:
        sqlite, postgresql = _medians(SqliteStore()), _medians(PostgresqlStore(server))
    finally:
        server.remove()
    print(f"load {os.getloadavg()[0]:.1f}")
    print("| question | SQLite, ms | PostgreSQL, ms |")
    print("| --- | --- | --- |")
    for name, seconds in sqlite.items():
        print(f"| {name} | {seconds * 1000:.1f} | {postgresql[name] * 1000:.1f} |")


def _medians(store: Store) -> dict[str, float]:
    ledger = store.open(SystemClock())
    try:
        fill(ledger, store)
        asked = questions(ledger) | {"a plain walk over all rows": walk(ledger)}
        return {name: median(asyncio.run(seconds_of(work))) for name, work in asked.items()}
    finally:
        ledger.close()
        store.close()


if __name__ == "__main__":
    main()
