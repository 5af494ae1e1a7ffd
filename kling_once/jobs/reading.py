"""Read an order's inputs: what they are decides the job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import (
    InputChanged,
    MediaError,
    MediaStopped,
    Violation,
)
from ..ledger.job import Job, job_key
from ..media.bounds import unreadable_violation
from ..media.digest import (
    clip_digest,
    frames_digest,
    picture_digest,
    url_digest,
)
from ..media.frame_folder import FrameFolder
from ..order import Order, VideoFile, VideoFrames, VideoUrl, realm_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..media.types import Stop


def read_job(order: Order, origin: str, stop: Stop | None = None) -> tuple[Job | None, tuple[Violation, ...]]:
    """Return the job that an order is, or what keeps its inputs from being read.

    Raises:
        InputChanged: a file was written while it was read.
        MediaStopped: `stop` said so.
    """
    broken: list[Violation] = []
    image_digest = video_digest = ""
    try:
        image_digest = picture_digest(order.image, stop=stop)
    except (InputChanged, MediaStopped):
        raise
    except MediaError as error:
        broken.append(unreadable_violation("image", error))
    try:
        video_digest = _video_digest(order, stop=stop)
    except (InputChanged, MediaStopped):
        raise
    except MediaError as error:
        broken.append(unreadable_violation("video", error))
    if broken:
        return None, tuple(broken)
    realm = realm_of(order.service, origin)
    key = job_key(realm, order.motion, image_digest, video_digest)
    return Job(key, realm, origin, image_digest, video_digest, order), ()


def require_unchanged(job: Job, *, stop: Stop | None = None) -> None:
    """Pass while a job's files hold what its key was made of; blocking.

    An order waits for others: what was measured and conformed since may be another file of the same name.

    Raises:
        InputChanged: a file was written, or is gone.
        MediaStopped: `stop` said so.
    """
    order = job.order
    image = order.image
    if isinstance(image, Path) and _digest_now(picture_digest, image, stop=stop) != job.image_digest:
        raise changed(image)
    if (path := _path_of(order)) and _digest_now(_video_digest, order, stop=stop) != job.video_digest:
        raise changed(path)


def changed(path: Path) -> InputChanged:
    """Return what people are told of a file that was written while it was read."""
    return InputChanged(
        f"{path.name} changed while it was read.",
        hint="Nothing was submitted. Run again once it is complete.",
    )


def _path_of(order: Order) -> Path | None:
    """Return what is on disk of the reference video; frames in memory and a URL's text do not change."""
    video = order.video
    if isinstance(video, VideoFrames):
        return video.frames.frames.folder if isinstance(video.frames.frames, FrameFolder) else None
    return video.path if isinstance(video, VideoFile) else None


def _digest_now(digest: Callable[..., str], source: Any, *, stop: Stop | None) -> str:
    """Return a digest, empty where the file cannot be read any more."""
    try:
        return digest(source, stop=stop)
    except MediaStopped:
        raise
    except MediaError:
        return ""


def _video_digest(order: Order, *, stop: Stop | None) -> str:
    video = order.video
    if isinstance(video, VideoUrl):
        return url_digest(video.url)
    if isinstance(video, VideoFile):
        return clip_digest(video.path, video.window, stop=stop)
    return frames_digest(video.frames, stop=stop)
