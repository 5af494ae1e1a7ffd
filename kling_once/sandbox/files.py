"""Files beside the database: uploads, reference files and results, each complete or absent."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .rules import DAY_SECONDS, STORED_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

UPLOAD_MAX_BYTES: Final = 200_000_000
UPLOAD_PATH: Final = re.compile(r"/sandbox/files/([0-9a-f]{40}\.(?:mp4|mov|png|jpg|bin))")
_BUFFER_BYTES: Final = 1 << 20


class TooLarge(Exception):
    """A stream exceeds its limit."""


@dataclass(frozen=True)
class Kept:
    """A complete file: its name in its folder, its size and its SHA-256."""

    name: str
    size_bytes: int
    digest: str


@contextlib.contextmanager
def part_in(folder: Path) -> Iterator[Path]:
    """Yield an empty file for an atomic rename, and delete it if it is still there at the end."""
    part = folder / f"{secrets.token_hex(8)}.part"
    try:
        private_file(part)
        yield part
    finally:
        part.unlink(missing_ok=True)


def private_file(path: Path) -> None:
    """Create a file, where there is none, that only the user can read, whatever the umask."""
    if not path.exists():
        path.touch(mode=0o600)
        path.chmod(0o600)


def private_folder(path: Path) -> None:
    """Create a folder, where there is none, that only the user can look into, whatever the umask."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)


class Files:
    """Keep files by content under names that cannot be guessed.

    A name is a keyed hash of the content: equal content is kept once, and every process that shares the
    state finds it.

    Args:
        folder: the folder of the state.
        secret: key of the hash.
        now: clock, in Unix seconds; the age of a file is measured by it.
    """

    def __init__(self, folder: Path, secret: str, now: Callable[[], float]) -> None:
        self._secret = secret.encode()
        self._now = now
        self.folder = folder
        self.uploads = folder / "uploads"
        self.references = folder / "references"
        self.results = folder / "results"
        for path in (self.uploads, self.references, self.results):
            private_folder(path)

    async def keep(self, folder: Path, chunks: AsyncIterator[bytes], limit_bytes: int) -> Kept:
        """Write a stream into one of the folders.

        Raises:
            TooLarge: the stream is longer than `limit_bytes`; nothing is kept.
        """
        with part_in(folder) as part:
            with contextlib.closing(await asyncio.to_thread(_Writer, part)) as writer:
                buffer = bytearray()
                async for chunk in chunks:
                    buffer += chunk
                    if writer.size_bytes + len(buffer) > limit_bytes:
                        raise TooLarge(f"more than {limit_bytes} bytes")
                    if len(buffer) >= _BUFFER_BYTES:
                        await asyncio.to_thread(writer.write, bytes(buffer))
                        buffer.clear()
                await asyncio.to_thread(writer.write, bytes(buffer))
            digest = writer.sha256.hexdigest()
            name = hmac.new(self._secret, digest.encode(), "sha256").hexdigest()[:40] + _suffix(writer.head)
            target = folder / name
            if not target.is_file():
                part.replace(target)
        self.touch(target)
        return Kept(name, writer.size_bytes, digest)

    def find_upload(self, url_path: str) -> Path | None:
        """Return the upload that a URL's path names; any server of this state may have made the URL."""
        match = UPLOAD_PATH.fullmatch(url_path)
        if match is None:
            return None
        path = self.uploads / match[1]
        if not path.is_file():
            return None
        self.touch(path)
        return path

    def touch(self, path: Path) -> None:
        """Record that a file is used now."""
        now = self._now()
        with contextlib.suppress(OSError):
            os.utime(path, (now, now))

    def clear_results(self) -> None:
        """Delete every result; each can be rendered again while its task is known."""
        for path in self.results.glob("*.mp4"):
            with contextlib.suppress(OSError):
                path.unlink()

    def sweep(self) -> None:
        """Delete files unused for 30 days, as the vendor does, and temporary files older than a day."""
        now = self._now()
        for folder in (self.uploads, self.references, self.results):
            for path in folder.iterdir():
                kept_seconds = DAY_SECONDS if path.suffix == ".part" else STORED_SECONDS
                with contextlib.suppress(OSError):
                    if now - path.stat().st_mtime > kept_seconds:
                        path.unlink()


class _Writer:
    """Write a file and take its size, digest and first bytes; blocking."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.head = b""

    def write(self, content: bytes) -> None:
        self.head = self.head or content[:16]
        self.sha256.update(content)
        self.size_bytes += len(content)
        self._file.write(content)

    def close(self) -> None:
        self._file.close()


def _suffix(head: bytes) -> str:
    """Return the suffix of a file that begins with `head`."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head[4:8] == b"ftyp":
        return ".mov" if head[8:12] == b"qt  " else ".mp4"
    return ".mov" if head[4:8] in {b"moov", b"mdat", b"wide", b"free"} else ".bin"
