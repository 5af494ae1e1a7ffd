"""The database under the ledger: file, journal, migrations, transactions, failures and SQL dialect.

The only module that knows which database that is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import filelock
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import MultipleResultsFound, NoResultFound, SQLAlchemyError

from ..errors import LedgerDamaged, LedgerError, LedgerLocked, LedgerNotWritable, LedgerTooNew
from ..version import package_version
from .tables import HEAD, metadata, notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

FILE_NAME: Final = "ledger.db"
BUSY_SECONDS: Final = 30
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph"}
)
LOGGING_NAME: Final = "kling_once"
LOCKED: Final = re.compile(r"database (table )?is locked|database schema is locked")
DAMAGED: Final = re.compile(
    r"not a database|malformed|no such (table|column)|has no column named|already exists|datatype mismatch"
)
"""What SQLite says of a file that is no database of ours; it has no codes for the last four."""


@contextmanager
def translated(path: Path, newer_version: str | None = None) -> Iterator[None]:
    """Raise every failure of SQLite, SQLAlchemy, Alembic and the file system as a `LedgerError`.

    Args:
        path: the ledger, for messages.
        newer_version: the version of this package that wrote it, when it is newer than this one.

    Raises:
        LedgerLocked: another program holds its lock.
        LedgerDamaged: it is no database, or lacks a table, a column or a row that was written.
        LedgerTooNew: it lacks what this version asks for, because a newer one wrote it.
        LedgerNotWritable: the file or its folder cannot be used.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError, filelock.Timeout) as error:
        if isinstance(error, LedgerError):
            raise
        raise _failure(path, error, newer_version) from None


def _failure(path: Path, error: Exception, newer_version: str | None) -> LedgerError:
    original = getattr(error, "orig", None) or error
    cause = (str(original).splitlines() or [type(original).__name__])[0][:200]
    if isinstance(error, filelock.Timeout) or LOCKED.search(cause):
        return LedgerLocked(
            f"The ledger {path} is locked by another program for more than {BUSY_SECONDS} s.",
            hint="Nothing is submitted without it. End the program that holds it, such as a backup or a"
            " database viewer, and run again.",
        )
    is_incomplete = isinstance(error, (NoResultFound, MultipleResultsFound)) or bool(DAMAGED.search(cause))
    if newer_version and is_incomplete:
        return LedgerTooNew(
            f"The ledger {path} was written by Kling Once {newer_version}, and this version cannot read it.",
            hint=f"Install Kling Once {newer_version} or newer.",
        )
    if is_incomplete:
        return damaged(path, cause)
    return LedgerNotWritable(
        f"The ledger {path} cannot be written: {cause}.",
        hint="Nothing is submitted without it. Check the folder, its rights and the free space,"
        " or set KLING_ONCE_HOME.",
    )


def damaged(path: Path, cause: str) -> LedgerDamaged:
    """Return the error for a ledger that is no database, or not one that this package wrote."""
    return LedgerDamaged(
        f"The ledger {path} is damaged: {cause}.",
        hint=f"Move it away: results and Kling's tasks are found again. Backups: {path.stem}.*.bak.",
    )


def insert_ignoring(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, unless one of the same key is there already."""
    connection.execute(sqlite.insert(table).values(values).on_conflict_do_nothing())


def upsert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, or give the row of the same primary key these values."""
    keys = [column.name for column in table.primary_key]
    changes = {name: value for name, value in values.items() if name not in keys}
    insert = sqlite.insert(table).values(values)
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes))


class Database:
    """The SQLite file of one home, brought to the newest migration when it is opened."""

    def __init__(self, home: Path) -> None:
        """Open or make the file; blocking.

        Raises:
            LedgerError: it cannot be used.
        """
        self.path = path = home / FILE_NAME
        self.newer_version: str | None = None
        """The version of this package that wrote the ledger, when it is newer than this one."""
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_private(path)
            self._engine = self._connect()
            self._migrate()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one snapshot of the ledger."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that holds the write lock from its start, and is on disk when it ends."""
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self.path, self.newer_version)

    def journal_mode(self) -> str:
        """Return `wal`, or `delete` where the file system does not allow it."""
        with self.read() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())

    def _connect(self) -> sa.Engine:
        engine = sa.create_engine(
            f"sqlite:///{self.path}",
            connect_args={"timeout": BUSY_SECONDS},
            hide_parameters=True,
            logging_name=LOGGING_NAME,
        )
        logging.getLogger(f"sqlalchemy.engine.Engine.{LOGGING_NAME}").setLevel(logging.WARNING)
        journal = "DELETE" if is_network_folder(self.path.parent) else "WAL"

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}").close()

        @event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _migrate(self) -> None:
        if self._revision() == HEAD:
            return
        with filelock.FileLock(self.path.with_suffix(".lock"), timeout=BUSY_SECONDS):
            revision = self._revision()
            if revision == HEAD:
                return
            if revision is not None and revision > HEAD:
                self.newer_version = "a newer one"
                self.newer_version = self._note("version") or self.newer_version
                return
            if revision is not None:
                shutil.copy2(self.path, self.path.with_suffix(f".{revision}.bak"))
            self._upgrade()

    def _upgrade(self) -> None:
        from alembic import command  # noqa: PLC0415 - needed once in the life of a ledger
        from alembic.config import Config  # noqa: PLC0415 - likewise
        from alembic.util import CommandError  # noqa: PLC0415 - likewise

        config = Config()
        config.set_main_option(
            "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
        )
        with self.write() as connection:
            config.attributes.update(connection=connection, metadata=metadata)
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise damaged(self.path, str(error)) from None
            upsert(connection, notes, {"name": "version", "value": package_version()})

    def _revision(self) -> str | None:
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()

    def _note(self, name: str) -> str | None:
        with self.read() as connection:
            return connection.execute(
                sa.select(notes.c.value).where(notes.c.name == name)
            ).scalar_one_or_none()


def _make_private(path: Path) -> None:
    """Let the user alone read the ledger, in whatever folder; SQLite gives its other files the same mode."""
    if not path.exists():
        path.touch(mode=0o600)
    if os.name != "posix":
        return
    for file in (path, *path.parent.glob(f"{path.name}-*"), *path.parent.glob(f"{path.stem}.*.bak")):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def is_network_folder(folder: Path) -> bool:
    """Tell whether a folder lies on a network file system, where SQLite's WAL does not work (Linux only)."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8")
    except OSError:
        return False
    best, kind = "", ""
    resolved = str(folder.resolve())
    for line in mounts.splitlines():
        _device, point, file_system, *_ = line.split(" ")
        if (resolved == point or resolved.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, file_system
    return kind in NETWORK_FILE_SYSTEMS
