"""The state: one SQLite file that every process of a home shares."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .wire import Reply


T = TypeVar("T")

SCHEMA_VERSION: Final = 1
"""Part of the file's name: another version of the sandbox starts a file of its own."""

BUSY_SECONDS: Final = 30.0

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tasks (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT UNIQUE,
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
    message TEXT NOT NULL,
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

    A transaction is whole or absent after a `kill -9`; another process's write is waited for.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"state-{SCHEMA_VERSION}.sqlite3"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kling-sandbox-state")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> str:
        """Open or make the state; return its secret, from which unguessable names are made."""
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
        """Finish `work` even when the caller is cancelled: a transaction is never left half way."""
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


def _prefer_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL where the file system allows it.

    SQLite's busy timeout does not cover this switch when two processes open a new file at once, hence
    the repeats.
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


KEPT_CALLS: Final = 10_000
LONGEST_TEXT: Final = 5_000
DEEPEST: Final = 12


def begin_call(connection: sqlite3.Connection, method: str, path: str, body: Any) -> int:
    """Note a call before it is answered; return its number."""
    number = connection.execute(
        "INSERT INTO calls (method, path, body) VALUES (?, ?, ?)", (method, path, json.dumps(body))
    ).lastrowid
    if number is None:
        raise RuntimeError("SQLite gave no row number")
    if number % 500 == 0:
        connection.execute("DELETE FROM calls WHERE n <= ?", (number - KEPT_CALLS,))
    return number


def finish_call(connection: sqlite3.Connection, number: int, reply: Reply) -> None:
    """Note what a call was answered; a reset keeps status null."""
    body = reply.body if isinstance(reply.body, dict) else reply.body.decode("utf-8", "replace")
    connection.execute(
        "UPDATE calls SET status = ?, answer = ? WHERE n = ?",
        (reply.status, json.dumps(None if reply.status is None else shorten(body)), number),
    )


def list_calls(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Give every kept call, oldest first."""
    return [
        {
            "method": row["method"],
            "path": row["path"],
            "body": json.loads(row["body"]),
            "status": row["status"],
            "answer": json.loads(row["answer"]),
        }
        for row in connection.execute("SELECT * FROM calls ORDER BY n")
    ]


def shorten(value: Any, depth: int = 0) -> Any:
    """Copy a JSON value with long texts and base64 pictures replaced by their length and digest."""
    if depth > DEEPEST:
        return "<nested deeper>"
    if isinstance(value, dict):
        return {
            str(shorten(name)): _picture(item) if name == "image_url" else shorten(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [shorten(item, depth + 1) for item in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return _digest("text", value)
    return value


def _picture(value: Any) -> Any:
    if isinstance(value, str) and value and "://" not in value[:64]:
        return _digest("base64", value)
    return shorten(value)


def _digest(kind: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"<{kind} {len(text)} characters, sha256 {digest}>"
