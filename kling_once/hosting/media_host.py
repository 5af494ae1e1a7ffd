"""The protocol of a media host: a place from which Kling can fetch a reference video."""

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
    """The host answered, but not with the clip; publishing it again may help."""


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

    A `location` is the short text that `publish` returns and the ledger stores. It holds no secret, and any
    process can sign or withdraw by it.
    """

    kind: str
    """Stable name: `object_store`, `gateway` or `sandbox`."""

    def location(self, file: HostedFile) -> str:
        """Return the location that `publish` will use, or an empty text where no cleanup is needed.

        The ledger stores it before the upload, so that an upload cut short by a crash can be found.
        """
        ...

    async def publish(self, file: HostedFile) -> str:
        """Make the file fetchable and return its location; a file that is there already is not sent again.

        Raises:
            HostingError: the file could not be put there.
        """
        ...

    async def sign(self, location: str, lifetime_seconds: float) -> str:
        """Return a URL that lives at least `lifetime_seconds`.

        Raises:
            HostingError: the location is not one of this host, or the lifetime is longer than it can give.
        """
        ...

    async def verify(self, url: str, file: HostedFile) -> None:
        """Fetch parts of the URL as Kling would and compare them with the file.

        Raises:
            ClipNotThere: the host answers, but has no such file, or another one.
            HostingError: one line that names the broken hop.
        """
        ...

    async def withdraw(self, location: str) -> None:
        """Delete the file; one that is gone already is no error.

        Raises:
            HostingError: the host refused.
        """
        ...

    async def leftovers(self) -> list[Leftover]:
        """Return every file of this installation that the host still holds.

        Raises:
            HostingError: the host cannot be asked.
        """
        ...


DIGEST = re.compile(r"[0-9a-f]{64}")
"""blake3 in hex: published files have no other name."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One published file; `withdraw(location)` removes it."""

    location: str
    size_bytes: int
    last_modified: datetime


def checked_digest(digest: str) -> str:
    """Return the digest, which becomes part of a file name.

    Raises:
        HostingError: not 64 hex digits.
    """
    if not DIGEST.fullmatch(digest):
        raise HostingError("The clip's digest is not 64 hex digits; nothing was published.")
    return digest


MARGIN = timedelta(minutes=1)
"""Added to a lifetime, since clocks differ and requests take time."""


def checked_lifetime(lifetime_seconds: float, longest: timedelta) -> timedelta:
    """Return the lifetime to sign with: whole seconds, a minute more than asked, at most `longest`.

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
