"""Atomic writes, digests of files, and values that are created once per home."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, BinaryIO, Final

import filelock
from blake3 import blake3

from .errors import HostingError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from pathlib import Path

CHUNK_BYTES: Final = 1 << 20
LOCK_SECONDS: Final = 10.0
SHARING_SECONDS: Final = 2.0
"""How long `write_file` waits on Windows for a program that holds the old file open."""


def write_file(
    path: Path,
    content: str | bytes | Callable[[BinaryIO], object],
    *,
    private: bool = False,
    durable: bool = True,
) -> None:
    """Create or replace a file atomically: readers see the old content or the new, never a part.

    The new content goes into a temporary file in the same folder, which is renamed over `path`. When
    anything fails, `path` is untouched and the temporary file is deleted; after a kill it stays behind as
    `<name>.<8 hex digits>.part`.

    Args:
        path: target; its folder exists.
        content: text (written as UTF-8), bytes, or a function that writes to the open binary file.
        private: create the file with mode 0600, so that only the user can read it.
        durable: flush to disk before the rename (fsync). Turn off only for what can be made again.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    mode = 0o600 if private else 0o666
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        replace_file(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def replace_file(source: Path, target: Path) -> None:
    """Rename a file over another; blocking.

    Windows refuses that (sharing violation) while a virus scanner, an indexer or a reader has the target
    open, which lasts for moments: it is tried again for `SHARING_SECONDS`.

    Raises:
        OSError: the file cannot be renamed.
    """
    deadline = time.monotonic() + SHARING_SECONDS
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def digest_of(file: BinaryIO, on_chunk: Callable[[bytes], object] | None = None) -> str:
    """Return the blake3 digest, in hex, of a binary file from its current position to its end.

    The file is read in chunks rather than mapped: a map counts as memory of this process, and a mapped
    file that another program truncates ends the process with SIGBUS.

    Args:
        file: open for reading.
        on_chunk: called with every chunk after it is hashed: the `write` of a copy, or a check that raises
            to stop.
    """
    hasher = blake3()
    while chunk := file.read(CHUNK_BYTES):
        hasher.update(chunk)
        if on_chunk is not None:
            on_chunk(chunk)
    return hasher.hexdigest()


def file_digest(path: Path) -> str:
    """Return the blake3 digest of a file's bytes, in hex.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return digest_of(file)


def kept_value(path: Path, make: Callable[[], str], form: re.Pattern[str]) -> str:
    """Return the value stored in `path`, creating it on the first call of any process.

    The file is private to the user. A stored value that does not match `form` is never replaced, because
    links and uploads made under the old value would be lost.

    Args:
        path: file that holds the value; its folder is created when missing.
        make: returns a new value; called under a lock, by one process at most.
        form: what the whole value must match.

    Raises:
        HostingError: the file cannot be read or written, or holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
                if not path.exists():
                    write_file(path, make() + "\n", private=True)
        value = path.read_text(encoding="ascii", errors="replace").strip()
    except (OSError, filelock.Timeout) as error:
        reason = getattr(error, "strerror", None) or "another process holds its lock"
        raise HostingError(f"{path} cannot be used: {reason}.") from None
    if not form.fullmatch(value):
        raise HostingError(
            f"{path} does not hold what Kling Once wrote there.",
            hint="Put the old file back, or delete it: links and uploads made under it are then lost.",
        )
    return value
