"""A small picture of each job's reference image, kept for lists."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from PIL import Image

from ..errors import MediaError
from ..media.picture import rgb_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from .job import Job

logger = logging.getLogger(__name__)

SIDE_PX: Final = 192


def picture_path(home: Path, job_key: str) -> Path:
    """Return where the small picture of a job's reference image lies."""
    return home / "pictures" / f"{job_key}.jpg"


def keep_picture(job: Job, home: Path) -> None:
    """Keep the small picture of a job; a failure is logged and never stops the job; blocking."""
    path = picture_path(home, job.key)
    try:
        if path.exists():
            return
        picture = Image.fromarray(rgb_pixels(job.order.image))
        picture.thumbnail((SIDE_PX, SIDE_PX))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(f".{os.getpid()}.part")
        picture.save(part, "JPEG", quality=82)
        part.replace(path)
    except (MediaError, OSError, ValueError) as error:
        logger.warning("The small picture of job %s could not be kept: %s", job.label.short_key, error)
