"""Media hosts: their protocol, the choice by the settings, the sandbox's, and the user's own URL instead."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

import httpx

from ..api.transport import open_client, private_traffic
from ..errors import HostingError, Violation
from ..origins import is_loopback, url_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from ..clock import Clock
    from ..settings import Settings


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


def choose_host(settings: Settings, clock: Clock | None = None) -> MediaHost | None:
    """Return the object store if one is configured, else the gateway if it has a public address, else None.

    Use one host object per process: only its own concurrent publishes share an upload.

    Raises:
        HostingError: the configured host cannot be used.
    """
    # Lazy: obstore and aiohttp load only where they are used.
    if settings.store_url:
        from .object_store import ObjectStore  # noqa: PLC0415 - lazy

        return ObjectStore(settings)
    if settings.public_url:
        from .gateway import Gateway  # noqa: PLC0415 - lazy

        return Gateway(settings, clock)
    return None


def no_host_error() -> HostingError:
    """Return the error for a local clip without a configured host: no file goes to a public host unasked."""
    return HostingError(
        "The reference video is a local file, and Kling fetches reference videos by URL.",
        hint="There are three ways: give an https address of your own (in a Motion Control node: `url` as"
        " motion_source);"
        " set KLING_ONCE_STORE_URL to a bucket of yours (s3://, gs://, az://);"
        " or set KLING_ONCE_PUBLIC_URL to a tunnel or proxy that leads to the gateway on this machine."
        ' See "Let Kling fetch your clip" in the README. Or try it free with service sandbox.',
    )


def no_place_error() -> HostingError:
    """Return the error for a listing or cleanup of hosted clips without a configured host."""
    return HostingError(
        "No media host is set, so none can hold reference videos.",
        hint="Set KLING_ONCE_STORE_URL or KLING_ONCE_PUBLIC_URL to the one that is meant.",
    )


URL_MAX_CHARACTERS: Final = 4096
SIGNING_PARAMETERS: Final = frozenset(
    {"x-amz-signature", "signature", "sig", "x-goog-signature", "token", "x-oss-signature", "policy"}
)


def url_violations(url: str, *, loopback_allowed: bool) -> tuple[Violation, ...]:
    """Return what is wrong with the form of a reference video's URL.

    Args:
        url: as the user gave it.
        loopback_allowed: accept plain http on this machine, for a sandbox.
    """
    parts = url_parts(url)
    if len(url) > URL_MAX_CHARACTERS or not is_written_out(url):
        message = (
            f"Reference video's URL has {len(url)} characters, or blanks; it may have"
            f" {URL_MAX_CHARACTERS} and none."
        )
        return (Violation("video", "video.url.form", message),)
    if parts.scheme == "http" and loopback_allowed and is_loopback(url):
        return ()
    if parts.scheme != "https" or not parts.hostname:
        message = "Reference video's URL must begin with https:// and name a host that Kling can reach."
        return (Violation("video", "video.url.scheme", message),)
    return ()


def is_written_out(url: str) -> bool:
    """Tell whether a URL has no blank and no unprintable character."""
    return url.isprintable() and " " not in url


def looks_signed(url: str) -> bool:
    """Tell whether a URL seems to carry a secret, which every saved workflow would then hold."""
    parts = url_parts(url)
    names = {name.casefold() for name, _ in parse_qsl(parts.query)}
    return bool(names & SIGNING_PARAMETERS or parts.password)


CHUNK_BYTES: Final = 1 << 20
UPLOAD_SECONDS: Final = 120.0


@dataclass
class SandboxHost:
    """The upload endpoint of a sandbox, which then reads the file from its own disk."""

    origin: str
    token: str | None = field(repr=False, default=None)
    kind: str = "sandbox"

    def location(self, file: HostedFile) -> str:  # noqa: ARG002 - the protocol's
        """Return an empty text: the sandbox deletes its uploads itself, so the ledger need not know them."""
        return ""

    async def publish(self, file: HostedFile) -> str:
        """Upload the file and return its path; the sandbox stores equal content once.

        Raises:
            HostingError: the sandbox cannot be reached or refuses the file.
        """
        headers = {"Content-Type": file.content_type, "Content-Length": str(file.size_bytes)}
        if self.token:
            headers["X-Sandbox-Token"] = self.token
        try:
            async with open_client(base_url=self.origin, timeout=UPLOAD_SECONDS) as http:
                with private_traffic():
                    response = await http.post("/sandbox/files", content=_chunks(file), headers=headers)
            response.raise_for_status()
            return urlsplit(response.json()["url"]).path
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise HostingError(
                f"The sandbox at {self.origin} did not take the reference video ({type(error).__name__}).",
                hint="Check that it runs and is a Kling Once sandbox (KLING_ONCE_SANDBOX_URL).",
            ) from None

    async def sign(self, location: str, lifetime_seconds: float) -> str:  # noqa: ARG002 - it never expires
        """Return the upload's URL."""
        return self.origin + location

    async def verify(self, url: str, file: HostedFile) -> None:
        """Do nothing: no network lies between the sandbox and its own disk."""

    async def withdraw(self, location: str) -> None:
        """Do nothing: the sandbox deletes its uploads itself."""

    async def leftovers(self) -> list[Leftover]:
        """Return an empty list: the sandbox deletes its uploads itself."""
        return []


async def _chunks(file: HostedFile) -> AsyncIterator[bytes]:
    with file.path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
