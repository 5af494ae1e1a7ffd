"""SQLite: a file in the home, for every process of one machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import filelock
from sqlalchemy import event

from .database import Database, make_engine
from .tables import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import sqlalchemy as sa

    from ..clock import Clock

FILE_NAME: Final = "ledger.db"
BUSY_SECONDS: Final = 30
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph"}
)
LOCKED: Final = re.compile(r"database (table )?is locked|database schema is locked")
DAMAGED: Final = re.compile(
    r"not a database|malformed|no such (table|column)|has no column named|already exists|datatype mismatch"
)
"""What SQLite says of a file that is no database of ours; it has no codes for the last four."""


class SqliteDatabase(Database):
    """The file of one home."""

    is_shared = False
    busy_text = f"is locked by another program for more than {BUSY_SECONDS} s"
    busy_hint = (
        "Nothing is submitted without it. End the program that holds it, such as a backup or a"
        " database viewer, and run again."
    )
    broken_hint = (
        f"Move it away: results and Kling's tasks are found again. Backups: {Path(FILE_NAME).stem}.*.bak."
    )
    unusable_hint = "Check the folder, its rights and the free space, or set KLING_ONCE_HOME."

    def __init__(self, home: Path, clock: Clock) -> None:
        """Open or make the file; blocking.

        Raises:
            LedgerError: it cannot be used.
        """
        self.path = home / FILE_NAME
        super().__init__(str(self.path), clock)
        with self.translated():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_private(self.path)
            self._engine = self._connect()
            self._migrate()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one snapshot of the ledger."""
        with self.translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that holds the write lock from its start, and is on disk when it ends."""
        with self.translated(), self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection

    def now(self, connection: sa.Connection) -> datetime:  # noqa: ARG002 - a server is asked through it
        """Return this machine's time, in its own time zone."""
        return self.clock.now().astimezone()

    def describe(self) -> str:
        """Return the path and the journal mode: `wal`, or `delete` where the file system allows no other."""
        with self.read() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        return f"{self.place} (journal {mode})"

    def is_locked(self, error: Exception, cause: str) -> bool:  # noqa: ARG002 - SQLite has words alone
        """Tell whether another program holds the file's lock."""
        return bool(LOCKED.search(cause))

    def is_damage(self, error: Exception, cause: str) -> bool:  # noqa: ARG002 - likewise
        """Tell whether the file is no database, or lacks what was written into it."""
        return bool(DAMAGED.search(cause))

    def driver_errors(self) -> tuple[type[Exception], ...]:
        """Return the errors of the driver."""
        return (sqlite3.Error,)

    def _connect(self) -> sa.Engine:
        engine = make_engine(f"sqlite:///{self.path}", connect_args={"timeout": BUSY_SECONDS})
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
        with self.read() as connection:
            if self._revision(connection) == HEAD:
                return
        with filelock.FileLock(self.path.with_suffix(".lock"), timeout=BUSY_SECONDS):
            with self.read() as connection:
                revision = self._note_version(connection)
            if revision == HEAD or self.newer_version:
                return
            if revision is not None:
                shutil.copy2(self.path, self.path.with_suffix(f".{revision}.bak"))
            with self.write() as connection:
                self._upgrade(connection)


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
