"""What every way of hosting a reference video can do."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from ..errors import HostingError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


class ClipNotThere(HostingError):
    """A host answered, and not with the clip: publishing it again may help."""


@dataclass(frozen=True, slots=True)
class HostedFile:
    """A local clip as it will be sent."""

    path: Path
    digest: str
    """blake3 of the file's bytes, in hex."""
    size_bytes: int
    content_type: str = "video/mp4"


class MediaHost(Protocol):
    """A place from which Kling can fetch a reference video.

    `location` is what `publish` returned: a short text that the ledger keeps, from which any process
    can sign again or withdraw. It holds no secret.
    """

    kind: str
    """Stable name: `object_store`, `gateway` or `sandbox`."""

    def location(self, file: HostedFile) -> str:
        """Return where `publish` will put the file; empty where nobody needs to know.

        Known beforehand, so that it is written down before anything is there to be left behind.
        """
        ...

    async def publish(self, file: HostedFile) -> str:
        """Make the file fetchable and return its location; a file already there is not sent again.

        Raises:
            HostingError: the file could not be put there.
        """
        ...

    async def sign(self, location: str, lifetime_seconds: float) -> str:
        """Return a URL that lives at least `lifetime_seconds`.

        Raises:
            HostingError: no such location, or a lifetime the host cannot give.
        """
        ...

    async def verify(self, url: str, file: HostedFile) -> None:
        """Fetch parts of the URL as Kling would and compare them with the file.

        Raises:
            ClipNotThere: it was reached, and holds no such file or another one.
            HostingError: one line that says which hop is broken.
        """
        ...

    async def withdraw(self, location: str) -> None:
        """Remove the file; one that is already gone is no error.

        Raises:
            HostingError: the host refused.
        """
        ...

    async def leftovers(self) -> list[Leftover]:
        """Return everything of ours that the host still holds.

        Raises:
            HostingError: the host cannot be asked.
        """
        ...


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


MARGIN = timedelta(minutes=1)
"""Added to what was asked: clocks differ, and the request takes its time."""


def checked_lifetime(lifetime_seconds: float, longest: timedelta) -> timedelta:
    """Return how long to sign for: whole seconds, a minute more than asked, never above `longest`.

    Raises:
        HostingError: not a positive number of seconds, or above `longest`.
    """
    if not math.isfinite(lifetime_seconds) or lifetime_seconds <= 0:
        raise HostingError(f"A link cannot live for {lifetime_seconds} seconds.")
    if lifetime_seconds > longest.total_seconds():
        raise HostingError(
            f"A link that lives {lifetime_seconds / 86400:.1f} days was asked for; this host gives at most"
            f" {longest.days} days.",
            hint="Wait for a shorter time; the job can be collected later all the same.",
        )
    return min(timedelta(seconds=math.ceil(lifetime_seconds)) + MARGIN, longest)
