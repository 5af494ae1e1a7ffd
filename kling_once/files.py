"""Write files that their owner alone may read: keys, and what links are signed with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import filelock

from .errors import HostingError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from pathlib import Path


def write_private_file(path: Path, text: str) -> None:
    """Write or replace a file in one step; at no moment may others read it, nor anybody see half of it.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


LOCK_SECONDS = 10.0


def kept_value(path: Path, make: Callable[[], str], form: re.Pattern[str]) -> str:
    """Return the value in `path`; the first caller of all processes makes it.

    The file appears whole, readable by the user alone. A value not of `form` is never replaced:
    what was made under the old one would be lost.

    Raises:
        HostingError: the file cannot be read or written, or holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
                if not path.exists():
                    write_private_file(path, make() + "\n")
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
