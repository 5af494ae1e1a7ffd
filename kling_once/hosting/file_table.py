"""The gateway's SQLite table: which files may be served, and which tasks a callback named.

Every process of a home reads and writes the same table; a connection lives for one operation.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

LOCK_SECONDS = 10.0
HINTS_KEPT = 10_000
HINT_LIFE = timedelta(days=1)
SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    digest TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    content_type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hints (task_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hints_at ON hints (at);
"""


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file of the gateway's own folder as it was when it was published."""

    digest: str
    size_bytes: int
    modified_ns: int
    content_type: str


class FileTable:
    """Files by digest, hints by task id.

    Raises:
        HostingError: from every method, when the table cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connection() as connection:
            connection.executescript(SCHEMA)

    def put(self, file: ServedFile) -> None:
        """Register a file, in place of an older row of the same digest."""
        row = (file.digest, file.size_bytes, file.modified_ns, file.content_type)
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row)

    def get(self, digest: str) -> ServedFile | None:
        """Return the file of a digest, if it is registered."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM files WHERE digest = ?", (digest,)).fetchone()
        return ServedFile(*row) if row else None

    def remove(self, digest: str) -> None:
        """Forget a file; one that is not registered is no error."""
        with self._connection() as connection:
            connection.execute("DELETE FROM files WHERE digest = ?", (digest,))

    def add_hint(self, task_id: str, now: Callable[[], datetime]) -> None:
        """Note that a callback named a task now; keep at most 10,000 hints, none older than a day."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            moment = now()  # asked under the lock, so that hints appear in the order of their times
            connection.execute("INSERT OR REPLACE INTO hints VALUES (?, ?)", (task_id, moment.timestamp()))
            connection.execute("DELETE FROM hints WHERE at < ?", ((moment - HINT_LIFE).timestamp(),))
            connection.execute(
                "DELETE FROM hints WHERE task_id IN"
                " (SELECT task_id FROM hints ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (HINTS_KEPT,),
            )

    def hints_since(self, moment: datetime) -> set[str]:
        """Return the tasks that a callback named at `moment` or later."""
        with self._connection() as connection:
            rows = connection.execute("SELECT task_id FROM hints WHERE at >= ?", (moment.timestamp(),))
            return {task_id for (task_id,) in rows}

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=LOCK_SECONDS)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise HostingError(f"The gateway's table {self._path} cannot be used: {error}.") from None
