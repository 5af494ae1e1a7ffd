"""The job key: what decides a result, hashed. Equal keys are paid once."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

if TYPE_CHECKING:
    from .job import MotionControl

VERSION: Final = "v1"


def canonical_fields(
    realm: str, motion: MotionControl, image_digest: str, video_digest: str
) -> dict[str, Any]:
    """Return the fields of version 1. One that is added later is left out while at its default."""
    settings = asdict(motion)
    if motion.element_id.isascii() and motion.element_id.isdigit():
        settings["element_id"] = str(int(motion.element_id))
    return {"realm": realm, **settings, "image": image_digest, "video": video_digest}


def job_key(realm: str, motion: MotionControl, image_digest: str, video_digest: str) -> str:
    """Return `v1` and 64 hex digits."""
    fields = canonical_fields(realm, motion, image_digest, video_digest)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return VERSION + blake3(text.encode()).hexdigest()
