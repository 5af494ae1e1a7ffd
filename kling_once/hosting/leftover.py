"""What a host still holds of ours, for counting and for cleaning up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import HostingError

if TYPE_CHECKING:
    from datetime import datetime

DIGEST = re.compile(r"[0-9a-f]{64}")
"""blake3 in hex: the only thing that ever names a published file."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One published file; `withdraw(location)` removes it."""

    location: str
    size_bytes: int
    last_modified: datetime


def checked_digest(digest: str) -> str:
    """Return the digest, which becomes a file name; anything else than blake3 in hex is refused."""
    if not DIGEST.fullmatch(digest):
        raise HostingError("The clip's digest is not 64 hex digits; nothing was published.")
    return digest
