"""The gateway's folder: its own copies of published clips, and the table that its processes share."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

import filelock

from ..errors import HostingError
from ..files import digest_of, write_file
from .media_host import DIGEST, checked_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from .media_host import HostedFile

LOCK_SECONDS = 60.0


class GatewayFiles:
    """One folder of `<digest>.mp4`: copies, not links, since the original may be overwritten in place."""

    def __init__(self, folder: Path, table: GatewayTable) -> None:
        self._folder = folder
        self._table = table

    def keep(self, file: HostedFile) -> None:
        """Copy a file and register it, unless an unchanged copy is registered already.

        Raises:
            HostingError: it cannot be read or written, or its bytes do not match its digest.
        """
        digest = checked_digest(file.digest)
        with self._locked():
            if not self.holds(digest):
                self._copy_in(file, digest)

    def holds(self, digest: str) -> bool:
        """Tell whether a clip is registered and its copy unchanged."""
        row = self._table.get(digest)
        try:
            found = self._path(digest).stat()
        except OSError:
            return False
        return row is not None and (row.size_bytes, row.modified_ns) == (found.st_size, found.st_mtime_ns)

    def drop(self, digest: str) -> None:
        """Unregister a clip, then delete its copy and any part that an interrupted copy left behind."""
        with self._locked():
            self._table.remove(digest)
            try:
                for path in self._folder.glob(f"{digest}.*"):
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise HostingError(f"The gateway's copy cannot be deleted: {error.strerror}.") from None

    def held(self) -> dict[str, tuple[int, float]]:
        """Return {digest: (size in bytes, last change in Unix seconds)} of everything in the folder.

        Raises:
            HostingError: the folder cannot be read.
        """
        found: dict[str, tuple[int, float]] = {}
        try:
            for path in self._folder.iterdir():
                digest = path.name[:64]
                if not DIGEST.fullmatch(digest):
                    continue
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    size_bytes, modified = found.get(digest, (0, 0.0))
                    found[digest] = (size_bytes + stat.st_size, max(modified, stat.st_mtime))
        except OSError as error:
            raise HostingError(
                f"The gateway's folder {self._folder} cannot be read: {error.strerror}."
            ) from None
        return found

    def _copy_in(self, file: HostedFile, digest: str) -> None:
        def copy(target: BinaryIO) -> None:
            with file.path.open("rb") as source:
                if digest_of(source, target.write) != digest:
                    raise HostingError(
                        f"{file.path.name} was changed before it could be published; run again."
                    )

        try:
            write_file(self._path(digest), copy)
            found = self._path(digest).stat()
        except OSError as error:
            reason = f"{file.path.name} cannot be copied for the gateway: {error.strerror}."
            raise HostingError(reason) from None
        self._table.put(ServedFile(digest, found.st_size, found.st_mtime_ns, file.content_type))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep every other process and thread from copying into the folder or deleting from it."""
        lock = filelock.FileLock(self._folder.with_name("files.lock"), timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise HostingError("Another process keeps the gateway's folder locked; run again.") from None
        except (OSError, NotImplementedError) as error:
            raise lock_error(self._folder, error) from None
        try:
            yield
        finally:
            lock.release()

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.mp4"


def lock_error(folder: Path, error: Exception) -> HostingError:
    """Return the error for a folder of the gateway in which no lock can be taken."""
    reason = getattr(error, "strerror", None) or "its file system knows no locks"
    return HostingError(f"The gateway's folder {folder} cannot be locked: {reason}.")


TABLE_LOCK_SECONDS = 10.0
CALLBACKS_KEPT = 10_000
CALLBACK_LIFE = timedelta(days=1)
SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    digest TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    content_type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS callbacks (task_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS callbacks_at ON callbacks (at);
"""


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file of the gateway's folder as it was when it was published."""

    digest: str
    size_bytes: int
    modified_ns: int
    content_type: str


class GatewayTable:
    """Published files by digest and callbacks by task id, in one SQLite file for all processes of a home.

    Raises:
        HostingError: from every method, when the table cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connection() as connection:
            connection.executescript(SCHEMA)

    def put(self, file: ServedFile) -> None:
        """Register a file, replacing the row of the same digest."""
        row = (file.digest, file.size_bytes, file.modified_ns, file.content_type)
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row)

    def get(self, digest: str) -> ServedFile | None:
        """Return the registered file of a digest, or None."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM files WHERE digest = ?", (digest,)).fetchone()
        return ServedFile(*row) if row else None

    def remove(self, digest: str) -> None:
        """Unregister a file; one that is not registered is no error."""
        with self._connection() as connection:
            connection.execute("DELETE FROM files WHERE digest = ?", (digest,))

    def add_callback(self, task_id: str, now: Callable[[], datetime]) -> None:
        """Record that a callback names a task now; keep the last 10,000 tasks of the last day."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            moment = now()  # read under the lock, so that rows appear in the order of their times
            connection.execute(
                "INSERT OR REPLACE INTO callbacks VALUES (?, ?)", (task_id, moment.timestamp())
            )
            connection.execute("DELETE FROM callbacks WHERE at < ?", ((moment - CALLBACK_LIFE).timestamp(),))
            connection.execute(
                "DELETE FROM callbacks WHERE task_id IN"
                " (SELECT task_id FROM callbacks ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (CALLBACKS_KEPT,),
            )

    def was_called_back(self, task_id: str, since: datetime) -> bool:
        """Tell whether a callback named the task at `since` or later."""
        with self._connection() as connection:
            found = connection.execute(
                "SELECT 1 FROM callbacks WHERE task_id = ? AND at >= ?", (task_id, since.timestamp())
            )
            return found.fetchone() is not None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=TABLE_LOCK_SECONDS)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise HostingError(f"The gateway's table {self._path} cannot be used: {error}.") from None
