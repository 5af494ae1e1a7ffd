"""The gateway's own copies of published clips."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import filelock
from blake3 import blake3

from ..errors import HostingError
from .media_host import DIGEST, checked_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from .media_host import HostedFile


CHUNK_BYTES = 2**20
LOCK_SECONDS = 60.0


class GatewayFiles:
    """One folder with `<digest>.mp4`, copied, not linked: the original may be written over in place."""

    def __init__(self, folder: Path, table: FileTable) -> None:
        self._folder = folder
        self._table = table

    def keep(self, file: HostedFile) -> None:
        """Copy the file, unless the same is there unchanged, and register it.

        Raises:
            HostingError: it cannot be read or written, or its bytes are not those of its digest any more.
        """
        digest = checked_digest(file.digest)
        with self._alone():
            if not self.holds(digest):
                self._copy_in(file, digest)

    def holds(self, digest: str) -> bool:
        """Tell whether the clip is registered and the copy still the same."""
        row = self._table.get(digest)
        try:
            found = self._path(digest).stat()
        except OSError:
            return False
        return row is not None and (row.size_bytes, row.modified_ns) == (found.st_size, found.st_mtime_ns)

    def drop(self, digest: str) -> None:
        """Forget the clip, then delete the copy and what an interrupted copying left of it."""
        with self._alone():
            self._table.remove(digest)
            try:
                self._path(digest).unlink(missing_ok=True)
                self._part(digest).unlink(missing_ok=True)
            except OSError as error:
                raise HostingError(f"The gateway's copy cannot be deleted: {error.strerror}.") from None

    def held(self) -> dict[str, tuple[int, float]]:
        """Return size in bytes and time of change (Unix seconds) of everything in the folder, by digest.

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
        part = self._part(digest)
        try:
            if _copy(file.path, part) != digest:
                raise HostingError(f"{file.path.name} was changed before it could be published; run again.")
            part.replace(self._path(digest))
            found = self._path(digest).stat()
        except OSError as error:
            reason = f"{file.path.name} cannot be copied for the gateway: {error.strerror}."
            raise HostingError(reason) from None
        finally:
            part.unlink(missing_ok=True)
        self._table.put(ServedFile(digest, found.st_size, found.st_mtime_ns, file.content_type))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder against every other process and thread that copies or deletes."""
        lock = filelock.FileLock(self._folder.with_name("files.lock"), timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise HostingError("Another process keeps the gateway's folder locked; run again.") from None
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or "its file system knows no locks"
            raise HostingError(f"The gateway's folder {self._folder} cannot be locked: {reason}.") from None
        try:
            yield
        finally:
            lock.release()

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.mp4"

    def _part(self, digest: str) -> Path:
        return self._folder / f"{digest}.part"


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return the digest of what was copied."""
    hasher = blake3()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            hasher.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return hasher.hexdigest()


TABLE_LOCK_SECONDS = 10.0
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
            with closing(sqlite3.connect(self._path, timeout=TABLE_LOCK_SECONDS)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise HostingError(f"The gateway's table {self._path} cannot be used: {error}.") from None
