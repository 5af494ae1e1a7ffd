"""Upload reference videos to a sandbox on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from ..api.client import open_client, private_traffic
from ..errors import HostingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .media_host import HostedFile, Leftover

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
