"""A short value that one home makes once and then only reads: the install id, the gateway's secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import filelock

from ..errors import HostingError
from ..private_file import write_private_file

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from pathlib import Path

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
