"""Second processes of the command line, and a look into the ledger from outside."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process import Process
    from tests.sandbox_control import SandboxControl


@pytest.fixture
def run_cli(cli: Callable[..., Process], small_picture: Path, small_clip: Path) -> Callable[..., Process]:
    """Start `kling-once run` on the small inputs, with `--json`."""

    def start(*options: str | Path, **environment: str) -> Process:
        return cli("run", small_picture, small_clip, "--json", *options, **environment)

    return start


class LedgerFile:
    """The ledger as a file: read and changed without the code under test."""

    def __init__(self, home: Path) -> None:
        self.path = home / "ledger.db"

    def rows(self) -> list[dict[str, Any]]:
        """Return every attempt, oldest first; none while there is no ledger."""
        if not self.path.exists():
            return []
        connection = sqlite3.connect(self.path, timeout=20)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute("SELECT * FROM attempts ORDER BY attempt_id")]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows()]

    def change(self, **columns: Any) -> None:
        """Change every attempt."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.execute(f"UPDATE attempts SET {names}", *columns.values())

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path, timeout=20)
        with connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows

    def lose(self) -> None:
        """Delete the ledger, as a person would who cleans up."""
        for path in self.path.parent.glob("ledger*"):
            path.unlink()


@pytest.fixture
def ledger_file(home: Path) -> LedgerFile:
    return LedgerFile(home)


@pytest.fixture
def leave_in_the_wait(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> Callable[..., None]:
    """Buy a task with an engine of these settings, and end that before the task has ended."""

    def leave(order: Any, **settings: Any) -> None:
        sandbox.move(policy="polls", polls=100_000)
        engine = engines(**settings)
        engine.run(order)
        eventually(lambda: ledger_file.states() == ["submitted"], "the task")
        engine.close()
        sandbox.move(policy="at once")

    return leave
