"""Either database of a ledger, as tests open it, set its clock and look into it from outside."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from kling_once.clock import SystemClock
from kling_once.files import write_file
from kling_once.ledger.ledger import Ledger

if TYPE_CHECKING:
    from datetime import datetime

    from kling_once.clock import Clock
    from kling_once.settings import Settings
    from tests.postgresql import Postgresql


class Store(Protocol):
    """A ledger that nobody has used."""

    is_server: bool

    def open(self, clock: Clock) -> Ledger:
        """Open it once more, as another process would."""
        ...

    def set_time(self, moment: datetime) -> None:
        """Set the clock that belongs to the database, where it has one."""
        ...

    def note_moves(self) -> None:
        """Write every change of a state into the table `moves`."""
        ...

    def execute(self, statement: str) -> list[tuple[Any, ...]]: ...

    def close(self) -> None: ...


@cache
def fresh_file() -> bytes:
    """Return a ledger's file; migrations are run once, not for every test."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        home = Path(folder)
        Ledger(home, SystemClock()).close()
        return (home / "ledger.db").read_bytes()


def spare_migrations(settings: Settings) -> None:
    """Put a new ledger where an engine of these settings would make the same one by migrations."""
    path = settings.home / "ledger.db"
    with suppress(OSError):  # the engine has words for a home that takes no file
        if settings.ledger_url is None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(path, fresh_file(), private=True, durable=False)


class SqliteStore:
    is_server = False

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ledger-")
        self._home = Path(self._folder.name)
        (self._home / "ledger.db").write_bytes(fresh_file())
        self._file = sqlite3.connect(self._home / "ledger.db")

    def open(self, clock: Clock) -> Ledger:
        return Ledger(self._home, clock)

    def set_time(self, moment: datetime) -> None:
        pass

    def note_moves(self) -> None:
        self._file.executescript(
            "CREATE TABLE moves (before TEXT, after TEXT);"
            "CREATE TRIGGER note AFTER UPDATE OF state ON attempts WHEN old.state <> new.state"
            " BEGIN INSERT INTO moves VALUES (old.state, new.state); END;"
        )

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with self._file:
            return self._file.execute(statement).fetchall()

    def close(self) -> None:
        self._file.close()
        self._folder.cleanup()


SHADOWED_CLOCK = """
CREATE SCHEMA shadow;
CREATE TABLE shadow.moment (at timestamptz);
CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
AS 'SELECT coalesce((SELECT max(at) FROM shadow.moment), pg_catalog.clock_timestamp())';
"""
"""Found before PostgreSQL's own function, so that a test may set the server's clock."""


@cache
def migrated_database(server: Postgresql) -> str:
    """Return a database with the ledger's tables, from which others are copied."""
    name = server.new_database()
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        Ledger(Path(folder), SystemClock(), SecretStr(server.url(name))).close()
    server.execute(SHADOWED_CLOCK, name)
    return name


class PostgresqlStore:
    """Each that opens it has a home of its own."""

    is_server = True

    def __init__(self, server: Postgresql) -> None:
        self._server = server
        self.name = server.new_database(migrated_database(server))
        self._homes: list[tempfile.TemporaryDirectory[str]] = []

    def open(self, clock: Clock) -> Ledger:
        self._homes.append(tempfile.TemporaryDirectory(prefix="home-"))
        return Ledger(Path(self._homes[-1].name), clock, SecretStr(self._server.url(self.name)))

    def set_time(self, moment: datetime) -> None:
        """Set the server's clock for this database, from the next connection on."""
        self._server.execute(f"ALTER DATABASE {self.name} SET search_path = public, shadow, pg_catalog")
        self._server.execute(
            f"DELETE FROM shadow.moment; INSERT INTO shadow.moment VALUES ('{moment.isoformat()}')", self.name
        )

    def note_moves(self) -> None:
        self._server.execute(
            "CREATE TABLE moves (before TEXT, after TEXT);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO moves VALUES (old.state, new.state); RETURN new; END';"
            "CREATE TRIGGER note AFTER UPDATE OF state ON attempts FOR EACH ROW"
            " WHEN (old.state <> new.state) EXECUTE FUNCTION note();",
            self.name,
        )

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self._server.execute(statement, self.name)

    def close(self) -> None:
        self._server.drop(self.name)
        for home in self._homes:
            home.cleanup()
