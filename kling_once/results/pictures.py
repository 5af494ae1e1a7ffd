"""Small pictures of what was ordered and of what came: for lists of jobs."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NoReturn

import av
import av.error
import numpy as np
from PIL import Image

from ..errors import MediaError, UnreadableMedia
from ..files import write_file
from ..ledger.job import short_key
from ..media.picture import rgb_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from ..media.picture import PictureSource

logger = logging.getLogger(__name__)

SIDE_PX: Final = 192


def picture_path(home: Path, job_key: str) -> Path:
    """Return where the small picture of a job's reference image lies."""
    return home / "pictures" / f"{job_key}.jpg"


def keep_picture(image: PictureSource, job_key: str, home: Path) -> None:
    """Keep the small picture of a job; a failure is logged and never stops the job; blocking."""
    path = picture_path(home, job_key)
    try:
        if path.exists():
            return
        picture = Image.fromarray(rgb_pixels(image))
        picture.thumbnail((SIDE_PX, SIDE_PX))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(path, lambda file: picture.save(file, "JPEG", quality=82), durable=False)
    except (MediaError, OSError, ValueError) as error:
        logger.warning("The small picture of job %s could not be kept: %s", short_key(job_key), error)


def poster_of(video: Path) -> bytes:
    """Return the first frame of a video as a small JPEG; blocking.

    Raises:
        UnreadableMedia: it shows no frame.
    """
    return _poster(video, video.stat().st_mtime_ns) if video.is_file() else _no_poster(video)


@lru_cache(maxsize=256)
def _poster(video: Path, _changed_ns: int) -> bytes:
    import imageio.v3 as iio  # noqa: PLC0415 - for lists with pictures alone

    # not with imageio: its reader collects garbage as it closes, which stops all of ComfyUI for a second
    try:
        with av.open(str(video)) as container:
            picture = next(container.decode(video=0)).to_image()
    except (OSError, ValueError, IndexError, StopIteration, av.error.FFmpegError):
        return _no_poster(video)
    picture.thumbnail((SIDE_PX, SIDE_PX))
    return iio.imwrite("<bytes>", np.asarray(picture), extension=".jpg", quality=82)


def _no_poster(video: Path) -> NoReturn:
    raise UnreadableMedia(f"{video.name} shows no frame.")
