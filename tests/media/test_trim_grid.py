"""A cut that begins between two frames."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import av
import numpy as np

from kling_once.api.limits import Orientation
from kling_once.demo import MOTION
from kling_once.jobs.violations import clip_bounds
from kling_once.media.conform import conform_clip
from kling_once.media.types import ConformMode, TrimWindow

if TYPE_CHECKING:
    from pathlib import Path


def test_every_frame_is_kept_once(tmp_path: Path) -> None:
    window = TrimWindow(0.5, 3.2)  # 12.5 frames at 25 fps
    conformed = conform_clip(
        MOTION, tmp_path, clip_bounds(Orientation.VIDEO), mode=ConformMode.AUTO, window=window
    )
    with av.open(str(conformed.path), "r") as container:
        pictures = [
            frame.reformat(64, 36, "gray").to_ndarray().astype(float) for frame in container.decode(video=0)
        ]
    assert len(pictures) == 80
    steps = [np.abs(one - other).mean() for one, other in itertools.pairwise(pictures)]
    assert min(steps) > 0.3, "no frame is shown twice: everything in this clip moves"
