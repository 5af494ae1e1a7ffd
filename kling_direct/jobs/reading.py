"""Read an order's inputs: what they are decides the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MediaError, MediaStopped, Violation
from ..media.bounds import unreadable_violation
from ..media.digest import clip_digest, frames_digest, picture_digest, url_digest
from .job import Job, Order, VideoFile, VideoUrl, realm_of
from .key import job_key

if TYPE_CHECKING:
    from ..media.types import Stop


def read_job(order: Order, origin: str, stop: Stop | None = None) -> tuple[Job | None, tuple[Violation, ...]]:
    """Return the job that an order is, or what keeps its inputs from being read.

    Raises:
        MediaStopped: `stop` said so.
    """
    broken: list[Violation] = []
    image_digest = video_digest = ""
    try:
        image_digest = picture_digest(order.image)
    except MediaStopped:
        raise
    except MediaError as error:
        broken.append(unreadable_violation("image", error))
    try:
        video_digest = _video_digest(order, stop)
    except MediaStopped:
        raise
    except MediaError as error:
        broken.append(unreadable_violation("video", error))
    if broken:
        return None, tuple(broken)
    realm = realm_of(order.service, origin)
    key = job_key(realm, order.motion, image_digest, video_digest)
    return Job(key, realm, origin, image_digest, video_digest, order), ()


def _video_digest(order: Order, stop: Stop | None) -> str:
    video = order.video
    if isinstance(video, VideoUrl):
        return url_digest(video.url)
    if isinstance(video, VideoFile):
        return clip_digest(video.path, video.window, stop=stop)
    return frames_digest(video.frames, stop=stop)
