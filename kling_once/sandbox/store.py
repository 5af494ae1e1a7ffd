"""The state: one SQLite file that every process over the same folder shares."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .files import private_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


T = TypeVar("T")

SCHEMA_VERSION: Final = 3
"""Part of the file's name: a version with another schema starts a file of its own."""

BUSY_SECONDS: Final = 30.0

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tasks (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT UNIQUE,
    generation TEXT NOT NULL,
    element_id TEXT UNIQUE,
    element TEXT,
    external_id TEXT,
    unique_external_id TEXT UNIQUE,
    callback_url TEXT,
    watermark INTEGER NOT NULL,
    sound INTEGER NOT NULL,
    mode TEXT NOT NULL,
    picture TEXT NOT NULL,
    clip TEXT NOT NULL,
    frames INTEGER NOT NULL,
    charge TEXT NOT NULL,
    units TEXT NOT NULL,
    fate TEXT NOT NULL,
    status TEXT NOT NULL,
    polls INTEGER NOT NULL DEFAULT 0,
    polled_at REAL NOT NULL,
    visible_at REAL NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    result_name TEXT NOT NULL,
    watermark_name TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS tasks_by_external_id ON tasks (external_id);
CREATE INDEX IF NOT EXISTS tasks_by_status ON tasks (status);
CREATE TABLE IF NOT EXISTS calls (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    body TEXT NOT NULL,
    status INTEGER,
    answer TEXT NOT NULL DEFAULT 'null'
);
CREATE TABLE IF NOT EXISTS scripts (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    fault TEXT NOT NULL,
    met INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Store:
    """Run short transactions on one connection, in a thread of its own.

    A transaction is whole or absent after a `kill -9`. A write of another process is waited for, at most
    `BUSY_SECONDS`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"state-{SCHEMA_VERSION}.sqlite3"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kling-sandbox-state")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> str:
        """Open or create the state.

        Returns:
            The secret of the state, a key for names that cannot be guessed.
        """
        return await self._in_thread(self._open)

    async def close(self) -> None:
        """Close the state; the file stays."""
        await self._in_thread(self._close)
        self._thread.shutdown(wait=False)

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        """Run `work(connection, *args)` in one immediate transaction; an exception rolls it back."""
        return await self._in_thread(lambda: self._transact("BEGIN IMMEDIATE", work, args))

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        """Run `work(connection, *args)` on one consistent view."""
        return await self._in_thread(lambda: self._transact("BEGIN", work, args))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Finish `work` even when the caller is cancelled: no transaction stays open."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _transact(self, begin: str, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the sandbox's state is closed")
        connection.execute(begin)
        try:
            value = work(connection, *args)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return value

    def _open(self) -> str:
        private_file(self.path)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        _prefer_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO settings VALUES ('secret', ?)", (secrets.token_hex(32),))
        (secret,) = connection.execute("SELECT value FROM settings WHERE name = 'secret'").fetchone()
        connection.execute("COMMIT")
        self._connection = connection
        return secret

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def forget(connection: sqlite3.Connection) -> None:
    """Delete every row but the secret, and restart the row numbers."""
    connection.execute("DELETE FROM tasks")
    connection.execute("DELETE FROM calls")
    connection.execute("DELETE FROM scripts")
    connection.execute("DELETE FROM settings WHERE name != 'secret'")
    connection.execute("DELETE FROM sqlite_sequence")


def _prefer_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL where the file system allows it.

    SQLite's busy timeout does not cover this switch when two processes open a new file at once, so it is
    repeated.
    """
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(0.05)
        else:
            return
