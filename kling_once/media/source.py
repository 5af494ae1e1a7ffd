"""A user's file: opened once, read once, and watched for writes while it is read."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputChanged
from .container import DISK_FULL, check_stop, unreadable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from blake3 import blake3

    from .types import Stop

_PIECE_BYTES = 1 << 22
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def changed(name: str) -> InputChanged:
    """Return the error for a file or folder that was written while it was read."""
    return InputChanged(
        f"{name} changed while it was read.",
        hint="Nothing was submitted. Run again once it is complete.",
    )


@contextmanager
def open_unchanging(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, and require that nobody writes to it inside the block.

    Raises:
        OSError: The file cannot be opened.
        InputChanged: At the end of the block, the open file has another size, modification time or inode
            than at the start, or `path` names another file or none.
    """
    with path.open("rb") as file:
        before = _identity(os.fstat(file.fileno()))
        yield file
        try:
            now = _identity(path.stat())
        except FileNotFoundError as error:
            raise changed(path.name) from error
        if not before == _identity(os.fstat(file.fileno())) == now:
            raise changed(path.name)


def read_pieces(path: Path, *, stop: Stop | None = None) -> Generator[bytes, None, None]:
    """Yield a file in pieces of at most 4 MiB, from one pass over one open descriptor.

    Raises:
        UnreadableMedia: The file cannot be opened or read.
        InputChanged: After the last piece, when the file was written meanwhile.
        MediaStopped: `stop` said so.
    """
    try:
        with open_unchanging(path) as file:
            while piece := file.read(_PIECE_BYTES):
                check_stop(stop)
                yield piece
    except OSError as error:
        raise unreadable(error, path) from error


def copy_file(source: Path, target: Path, *hashers: blake3, stop: Stop | None = None) -> int:
    """Copy a file into a new one of mode 0600 and feed its bytes to `hashers`, in one pass.

    `target` is removed on failure.

    Returns:
        The size in bytes.

    Raises:
        FileExistsError: `target` exists; it is left as it is.
        UnreadableMedia: `source` cannot be opened or read.
        InputChanged: `source` was written meanwhile.
        DiskFull: There is no room for the copy.
        MediaStopped: `stop` said so.
    """
    size_bytes = 0
    descriptor = os.open(target, _NEW_FILE, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as copy, closing(read_pieces(source, stop=stop)) as pieces:
            for piece in pieces:
                copy.write(piece)
                for hasher in hashers:
                    hasher.update(piece)
                size_bytes += len(piece)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise unreadable(error, target) from error
        raise
    return size_bytes


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino
