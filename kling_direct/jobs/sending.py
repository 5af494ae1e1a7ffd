"""Form the create of a prepared order."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..api.limits import Mode, Model, Orientation
from ..api.models import CreateRequest
from ..hosting.choice import no_host_error
from .job import Order, VideoUrl

if TYPE_CHECKING:
    from ..hosting.media_host import MediaHost
    from .prepare import Prepared

LIFETIME_MARGIN_SECONDS: Final = 600.0
"""A signed URL lives this much longer than the wait: a task may be queued at the vendor's first."""


@dataclass
class Sending:
    """An order on its way to one account."""

    order: Order
    prepared: Prepared
    host: MediaHost | None
    location: str | None = None

    async def request(self, external_id: str) -> CreateRequest:
        """Return the body of the create, its URL signed and proven just now.

        Raises:
            HostingError: Kling could not fetch the reference video.
        """
        motion = self.order.motion
        encoded = await asyncio.to_thread(base64.b64encode, self.prepared.image)
        return CreateRequest(
            model_name=Model(motion.model),
            prompt=motion.prompt,
            image_url=encoded.decode(),
            video_url=await self._video_url(),
            element_id=motion.element_id,
            keep_original_sound=motion.keep_original_sound,
            character_orientation=Orientation(motion.character_orientation),
            mode=Mode(motion.mode),
            watermark=motion.watermark,
            callback_url=self.order.callback_url,
            external_task_id=external_id,
        )

    async def _video_url(self) -> str:
        video, clip = self.order.video, self.prepared.clip
        if isinstance(video, VideoUrl):
            return video.url
        if self.host is None or clip is None:
            raise no_host_error()
        if self.location is None:
            self.location = await self.host.publish(clip)
        lifetime = self.order.wait_minutes * 60 + LIFETIME_MARGIN_SECONDS
        url = await self.host.sign(self.location, lifetime)
        await self.host.verify(url, clip)
        return url
