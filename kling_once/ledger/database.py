"""What the ledger asks of its database: transactions, time, locks, migrations, failures.

One half lies in `sqlite.py`, the other in `postgresql.py`. Nothing else knows which database it is.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import filelock
import sqlalchemy as sa
from blake3 import blake3
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound, SQLAlchemyError

from ..errors import (
    LedgerDamaged,
    LedgerError,
    LedgerLocked,
    LedgerNotWritable,
    LedgerTooNew,
    LedgerUnreachable,
)
from ..version import package_version
from .tables import HEAD, metadata, notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from pydantic import SecretStr

    from ..clock import Clock

LOGGING_NAME: Final = "kling_once"
CAUSE_LIMIT: Final = 200
INSERTS: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

Value = TypeVar("Value")


class Database(ABC):
    """One ledger's database, brought to the newest migration when it is opened; blocking.

    Attributes:
        place: what messages call it: a path, or a server and a database; never a password.
        newer_version: the version of this package that wrote the ledger, when it is newer than this one.
        clock: tells the time that the ledger goes by.
        is_shared: several homes may use it, so that the files of one home prove nothing.
    """

    is_shared: ClassVar[bool]
    busy_text: ClassVar[str]
    busy_hint: ClassVar[str]
    broken_hint: ClassVar[str]
    unusable_hint: ClassVar[str]

    def __init__(self, place: str, clock: Clock) -> None:
        self.place = place
        self.clock = clock
        self.newer_version: str | None = None
        self._engine: sa.Engine

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    @abstractmethod
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one snapshot of the ledger."""
        ...

    @contextmanager
    @abstractmethod
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes, and is on disk when it ends."""
        ...

    def transact(self, work: Callable[[sa.Connection], Value], *, writes: bool) -> Value:
        """Return what `work` returns, from a transaction of its own."""
        with self.write() if writes else self.read() as connection:
            return work(connection)

    @abstractmethod
    def now(self, connection: sa.Connection) -> datetime:
        """Return the time that decides leases, in the time zone whose midnight begins a day of spending."""
        ...

    @abstractmethod
    def describe(self) -> str:
        """Return what reports say of it."""
        ...

    @abstractmethod
    def is_locked(self, error: Exception, cause: str) -> bool:
        """Tell whether a failure means that another program holds what was asked for."""
        ...

    @abstractmethod
    def is_damage(self, error: Exception, cause: str) -> bool:
        """Tell whether a failure means that this is no ledger, or lacks what was written into it."""
        ...

    def is_gone(self, error: Exception, cause: str) -> bool:  # noqa: ARG002 - a file does not go away
        """Tell whether a failure means that nobody answers, or that the answer was cut off."""
        return False

    def require_writable(self, connection: sa.Connection) -> None:
        """Pass unless this ledger may only be read, such as one that a newer version has written just now.

        Raises:
            LedgerTooNew: it may only be read.
        """
        self._note_version(connection)
        if newer := self.newer_version:
            raise LedgerTooNew(
                f"The ledger {self.place} was written by Kling Once {newer}.",
                hint=f"Nothing new is submitted. Install Kling Once {newer} or newer.",
            )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise every failure of the database, its libraries and the file system as a `LedgerError`.

        Raises:
            LedgerLocked: another program holds its lock.
            LedgerUnreachable: its server does not answer.
            LedgerDamaged: it is no ledger, or lacks a table, a column or a row that was written.
            LedgerTooNew: it lacks what this version asks for, because a newer one wrote it.
            LedgerNotWritable: it cannot be used.
        """
        try:
            yield
        except (SQLAlchemyError, OSError, UnicodeError, filelock.Timeout, *self.driver_errors()) as error:
            if isinstance(error, LedgerError):
                raise
            raise self._failure(error) from None

    def driver_errors(self) -> tuple[type[Exception], ...]:
        """Return what the driver raises where SQLAlchemy does not wrap it."""
        return ()

    def cause_of(self, error: Exception) -> str:
        """Return the first line of a failure, for people."""
        original = getattr(error, "orig", None) or error
        return (str(original).splitlines() or [type(original).__name__])[0][:CAUSE_LIMIT].removesuffix(".")

    def damaged(self, cause: str) -> LedgerDamaged:
        """Return the error for what is no ledger, or not one that this package wrote."""
        return LedgerDamaged(f"The ledger {self.place} is damaged: {cause}.", hint=self.broken_hint)

    def not_writable(self, cause: str) -> LedgerNotWritable:
        """Return the error for a ledger that takes nothing."""
        return LedgerNotWritable(
            f"The ledger {self.place} cannot be written: {cause}.",
            hint=f"Nothing is submitted without it. {self.unusable_hint}",
        )

    def _failure(self, error: Exception) -> LedgerError:
        cause = self.cause_of(error)
        if isinstance(error, filelock.Timeout) or self.is_locked(error, cause):
            return LedgerLocked(f"The ledger {self.place} {self.busy_text}.", hint=self.busy_hint)
        if self.is_gone(error, cause):
            return LedgerUnreachable(
                f"The ledger {self.place} does not answer: {cause}.",
                hint="Nothing is submitted without it; what runs at Kling goes on. "
                f"{self.unusable_hint} Then run again.",
            )
        is_incomplete = isinstance(error, (NoResultFound, MultipleResultsFound)) or self.is_damage(
            error, cause
        )
        if is_incomplete and (newer := self.newer_version):
            return LedgerTooNew(
                f"The ledger {self.place} was written by Kling Once {newer}, and this version cannot"
                " read it.",
                hint=f"Install Kling Once {newer} or newer.",
            )
        if is_incomplete:
            return self.damaged(cause)
        return self.not_writable(cause)

    def _revision(self, connection: sa.Connection) -> str | None:
        """Return the migration that the ledger is at, None where there is no ledger yet."""
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()

    def _note_version(self, connection: sa.Connection) -> str | None:
        """Note whether a newer version wrote the ledger; return the migration that it is at."""
        revision = self._revision(connection)
        if revision is not None and revision > HEAD:
            query = sa.select(notes.c.value).where(notes.c.name == "version")
            self.newer_version = "a newer one"
            self.newer_version = connection.execute(query).scalar_one_or_none() or self.newer_version
        return revision

    def _upgrade(self, connection: sa.Connection) -> None:
        """Bring the ledger to the newest migration."""
        from alembic import command  # noqa: PLC0415 - needed once in the life of a ledger
        from alembic.config import Config  # noqa: PLC0415 - likewise
        from alembic.util import CommandError  # noqa: PLC0415 - likewise

        config = Config()
        config.set_main_option(
            "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
        )
        config.attributes.update(connection=connection, metadata=metadata)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise self.damaged(str(error)) from None
        upsert(connection, notes, {"name": "version", "value": package_version()})


def open_database(home: Path, url: SecretStr | None, clock: Clock) -> Database:
    """Open the PostgreSQL database of a URL, or without one the SQLite file of a home; blocking.

    Raises:
        LedgerError: it cannot be used.
        SettingsError: the URL names no such database, or its driver is not installed.
    """
    if url is not None:
        from .postgresql import PostgresqlDatabase  # noqa: PLC0415 - only for those who use it

        return PostgresqlDatabase(url, clock)
    from .sqlite import SqliteDatabase  # noqa: PLC0415 - likewise

    return SqliteDatabase(home, clock)


def make_engine(url: sa.URL | str, **options: Any) -> sa.Engine:
    """Return an engine that logs nothing of what it is asked."""
    engine = sa.create_engine(url, hide_parameters=True, logging_name=LOGGING_NAME, **options)
    logging.getLogger(f"sqlalchemy.engine.Engine.{LOGGING_NAME}").setLevel(logging.WARNING)
    return engine


# Statements that differ from one database to the other


def insert_ignoring(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, unless one of the same key is there already."""
    connection.execute(_insert(connection, table, values).on_conflict_do_nothing())


def insert_all_ignoring(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert many rows of the same columns, each unless one of the same key is there already."""
    if rows:
        connection.execute(INSERTS[connection.dialect.name](table).on_conflict_do_nothing(), rows)


def upsert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, or give the row of the same primary key these values."""
    keys = [column.name for column in table.primary_key]
    changes = {name: value for name, value in values.items() if name not in keys}
    insert = _insert(connection, table, values)
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes))


def _insert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> Any:
    return INSERTS[connection.dialect.name](table).values(values)


def exclusive(connection: sa.Connection, *names: str) -> None:
    """Let no other transaction of the same names run beside this one, until this one ends.

    What is read afterwards holds until then. SQLite has one writing transaction at a time anyway; PostgreSQL
    takes an advisory lock that belongs to the transaction, which a transaction pooler lets through.
    """
    if connection.dialect.name == "postgresql":
        digest = blake3("\0".join(names).encode()).digest(8)
        number = int.from_bytes(digest, signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def sqlstate_of(error: Exception) -> str:
    """Return the five characters by which PostgreSQL names a failure; empty for any other."""
    return str(getattr(error.orig, "sqlstate", None) or "") if isinstance(error, DBAPIError) else ""
