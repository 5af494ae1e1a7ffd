"""The gateway's own copies of published clips."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import filelock
from blake3 import blake3

from ..errors import HostingError
from .file_table import ServedFile
from .leftover import DIGEST, checked_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .file_table import FileTable
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
