"""Files beside the state: uploads, reference files and results, each whole or absent."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


import asyncio
import contextlib
import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

UPLOAD_MAX_BYTES: Final = 200_000_000
UPLOAD_PATH: Final = re.compile(r"/sandbox/files/([0-9a-f]{40}\.(?:mp4|mov|png|jpg|bin))")
DAY_SECONDS: Final = 86_400
KEPT_DAYS: Final = 30
_WRITE_BYTES: Final = 1 << 20


class TooLarge(Exception):
    """A stream goes on past its limit."""


@dataclass(frozen=True)
class Kept:
    """A file that is whole: its name in its folder, size and SHA-256."""

    name: str
    size_bytes: int
    digest: str


class Files:
    """Keep files by content under names that nobody can guess.

    A name is a keyed hash of the content, so the same content is kept once and every process of the
    state knows it; a half written file never has its final name.
    """

    def __init__(self, folder: Path, secret: str, now: Callable[[], float]) -> None:
        self._secret = secret.encode()
        self._now = now
        self.uploads = folder / "uploads"
        self.references = folder / "references"
        self.results = folder / "results"
        for path in (self.uploads, self.references, self.results):
            path.mkdir(parents=True, exist_ok=True)

    async def keep(self, folder: Path, chunks: AsyncIterator[bytes], limit_bytes: int) -> Kept:
        """Write a stream to disk under its final name; `TooLarge` past the limit."""
        part = folder / f"{secrets.token_hex(8)}.part"
        writer = _Writer()
        file = await asyncio.to_thread(part.open, "wb")
        try:
            buffer = bytearray()
            async for chunk in chunks:
                buffer += chunk
                if writer.size_bytes + len(buffer) > limit_bytes:
                    raise TooLarge(f"more than {limit_bytes} bytes")
                if len(buffer) >= _WRITE_BYTES:
                    await asyncio.to_thread(writer.write, file, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(writer.write, file, bytes(buffer))
            file.close()
            return self._named(part, folder, writer)
        finally:
            file.close()
            part.unlink(missing_ok=True)

    def keep_bytes(self, folder: Path, content: bytes) -> Kept:
        """Write bytes under their final name; blocking."""
        part = folder / f"{secrets.token_hex(8)}.part"
        writer = _Writer()
        try:
            with part.open("wb") as file:
                writer.write(file, content)
            return self._named(part, folder, writer)
        finally:
            part.unlink(missing_ok=True)

    def find_upload(self, url_path: str) -> Path | None:
        """Find the upload that a URL's path names, whichever server of this state gave the URL."""
        match = UPLOAD_PATH.fullmatch(url_path)
        if match is None:
            return None
        path = self.uploads / match[1]
        if not path.is_file():
            return None
        self.touch(path)
        return path

    def touch(self, path: Path) -> None:
        """Note that a file is used now, by the sandbox's clock."""
        now = self._now()
        with contextlib.suppress(OSError):
            os.utime(path, (now, now))

    def clear_results(self) -> None:
        """Delete every result; each can be rendered again while its task is known."""
        for path in self.results.glob("*.mp4"):
            with contextlib.suppress(OSError):
                path.unlink()

    def sweep(self) -> None:
        """Delete what nobody used for 30 days, as the vendor does, and what was never finished."""
        now = self._now()
        for folder in (self.uploads, self.references, self.results):
            for path in folder.iterdir():
                kept_seconds = DAY_SECONDS if path.suffix == ".part" else KEPT_DAYS * DAY_SECONDS
                with contextlib.suppress(OSError):
                    if now - path.stat().st_mtime > kept_seconds:
                        path.unlink()

    def _named(self, part: Path, folder: Path, writer: _Writer) -> Kept:
        digest = writer.sha256.hexdigest()
        name = hmac.new(self._secret, digest.encode(), "sha256").hexdigest()[:40] + _suffix(writer.head)
        target = folder / name
        if not target.is_file():
            part.replace(target)
        self.touch(target)
        return Kept(name, writer.size_bytes, digest)


class _Writer:
    """Count, hash and write."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.head = b""

    def write(self, file: BinaryIO, content: bytes) -> None:
        """Write one piece; blocking."""
        self.head = self.head or content[:16]
        self.sha256.update(content)
        self.size_bytes += len(content)
        file.write(content)


def _suffix(head: bytes) -> str:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head[4:8] == b"ftyp":
        return ".mov" if head[8:12] == b"qt  " else ".mp4"
    return ".mov" if head[4:8] in {b"moov", b"mdat", b"wide", b"free"} else ".bin"


class Stopped(Exception):
    """The sandbox is stopping; what was under way is begun anew another time."""
