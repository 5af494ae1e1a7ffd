"""Form the create of a prepared order."""

from __future__ import annotations

import asyncio
import base64
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..api.models import CreateRequest
from ..errors import InputChanged
from ..hosting.choice import no_host_error
from ..hosting.media_host import MARGIN as LIFETIME_MARGIN
from ..hosting.media_host import ClipNotThere
from ..ledger.uploads import note_upload
from ..order import Order, VideoUrl
from .prepare import contents_digest
from .reading import changed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ..clock import Clock
    from ..hosting.media_host import HostedFile, MediaHost
    from ..ledger.database import Database
    from .prepare import Prepared

SHORTEST_MINUTES: Final = 60.0
"""How long a link lives at least: the task goes on at Kling when nobody waits for it here."""


@dataclass
class Sending:
    """An order on its way to one account."""

    order: Order
    prepared: Prepared
    host: MediaHost | None
    database: Database
    clock: Clock
    callback_url: str = field(default="", repr=False)
    """Of our own gateway, for orders that name none."""
    location: str | None = None
    """Where the clip was put."""

    async def request(self, external_id: str, placed: Callable[[str], Awaitable[None]]) -> CreateRequest:
        """Return the body of the create, its URL signed and proven just now.

        `placed` hears where the clip was put.

        Raises:
            HostingError: Kling could not fetch the reference video.
            InputChanged: the clip was written since it was measured.
        """
        encoded = await asyncio.to_thread(base64.b64encode, self.prepared.image)
        return CreateRequest(
            motion=self.order.motion,
            image_url=encoded.decode(),
            video_url=await self._video_url(placed),
            callback_url=self.order.callback_url or self.callback_url,
            external_task_id=external_id,
        )

    async def _video_url(self, placed: Callable[[str], Awaitable[None]]) -> str:
        video, clip, host = self.order.video, self.prepared.clip, self.host
        if isinstance(video, VideoUrl):
            return video.url
        if host is None or clip is None:
            raise no_host_error()
        lifetime = timedelta(minutes=max(self.order.wait_minutes, SHORTEST_MINUTES))
        url = await self._published(host, clip, placed, lifetime)
        try:
            await host.verify(url, clip)
        except ClipNotThere:
            # Swept by another process just now, or written over: a host trusts an object of equal size.
            await host.withdraw(self.location or "")
            self.location = None
            url = await self._published(host, clip, placed, lifetime)
            await host.verify(url, clip)
        try:
            await _require_unchanged(clip)
        except InputChanged:
            await host.withdraw(self.location or "")
            self.location = None
            raise
        await self._note(host, clip, placed, signed_until=self.clock.now() + lifetime + LIFETIME_MARGIN)
        return url

    async def _published(
        self, host: MediaHost, clip: HostedFile, placed: Callable[[str], Awaitable[None]], lifetime: timedelta
    ) -> str:
        await _require_unchanged(clip)  # a clip that is sent as it is has waited in the line by name alone
        if self.location is None:
            await self._note(host, clip, placed, signed_until=self.clock.now())
            self.location = await host.publish(clip)
        return await host.sign(self.location, lifetime.total_seconds())

    async def _note(
        self,
        host: MediaHost,
        clip: HostedFile,
        placed: Callable[[str], Awaitable[None]],
        *,
        signed_until: datetime,
    ) -> None:
        """Write down where the clip lies before it lies there, and how long a link that is sent will live."""
        if location := host.location(clip):
            await placed(location)  # first: from then on no other process sweeps it
            now = self.clock.now()
            await asyncio.to_thread(note_upload, self.database, location, host.kind, now, signed_until)


async def _require_unchanged(clip: HostedFile) -> None:
    let_go = threading.Event()
    try:
        same = await asyncio.to_thread(contents_digest, clip.path, let_go.is_set) == clip.digest
    except OSError:
        same = False
    finally:
        let_go.set()
    if not same:
        raise changed(clip.path)
