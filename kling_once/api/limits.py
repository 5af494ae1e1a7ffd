"""Every documented limit of the motion-control endpoint.

Source: Kling's API page "Motion Control" (March 2026), unless a line says otherwise. MB = 1,000,000 bytes.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

MEGABYTE: Final = 1_000_000


class Model(StrEnum):
    """`model_name`."""

    V2_6 = "kling-v2-6"
    V3 = "kling-v3"


class Mode(StrEnum):
    """`mode`: `std` is 720p, `pro` is 1080p (billing API, 2026-09)."""

    STD = "std"
    PRO = "pro"


class Orientation(StrEnum):
    """`character_orientation`."""

    VIDEO = "video"
    IMAGE = "image"


PROMPT_MAX_CHARACTERS: Final = 2500

IMAGE_FORMATS: Final = ("JPEG", "PNG")
IMAGE_MAX_BYTES: Final = 10 * MEGABYTE
"""Measured after base64 encoding: the page does not say which, and this is the stricter reading."""
IMAGE_SIDE_MIN_PX: Final = 300
IMAGE_SIDE_MAX_PX: Final = 65536
IMAGE_RATIO_MAX: Final = 2.5
"""Longer side divided by the shorter one."""

VIDEO_CONTAINERS: Final = ("mp4", "mov")
VIDEO_MAX_BYTES: Final = 100 * MEGABYTE
VIDEO_SIDE_MIN_PX: Final = 340
VIDEO_SIDE_MAX_PX: Final = 3850
"""Both bounds are inclusive (new-standard page, 2026-09)."""
VIDEO_MIN_SECONDS: Final = 3
VIDEO_MAX_SECONDS: Final = {Orientation.VIDEO: 30, Orientation.IMAGE: 10}

ELEMENT_ID: Final = re.compile(r"[0-9]{1,19}")
"""A 64-bit signed integer, as text: 2**63-1 has 19 digits."""
ELEMENT_ID_MAX: Final = 2**63 - 1

EXTERNAL_TASK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Our own rule: the page sets no form; this one is safe in a path."""
OUR_TASK_ID: Final = re.compile(r"ko-[0-9a-f]{32}-")
"""Prefix of the external ids that we generate; users may not choose such an id."""
PATH_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""Our own rule for every id that goes into a URL path."""

PAGE_MAX: Final = 1000
PAGE_SIZE_MAX: Final = 500
RESULT_LIFETIME_DAYS: Final = 30
"""Kling deletes generated files after this time."""


def is_path_id(text: str) -> bool:
    """Tell whether an id may be put into a URL path: `.` and `..` would change the path."""
    return bool(PATH_ID.fullmatch(text)) and text not in {".", ".."}
