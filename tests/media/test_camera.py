"""A camera that moves is noticed; somebody who moves in front of one that stands still is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kling_once.media.survey import survey_clip
from tests.media.scenes import camera_scenes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.scenes import CameraScene

pytestmark = pytest.mark.media

BELOW = {"camera_zoom_0.04"}
"""Movements too small to be told: this one shifts the edge by 1 % of the picture in half a second."""


@pytest.mark.parametrize("scene", camera_scenes(), ids=lambda scene: scene.name)
def test_a_camera_that_moves_is_told_from_one_that_stands_still(scene: CameraScene, tmp_path: Path) -> None:
    survey = survey_clip(scene.make(tmp_path))
    assert survey.cuts == ()
    if not scene.moves:
        assert survey.moves == ()
    elif scene.name not in BELOW:
        (move,) = survey.moves
        assert move.kind == scene.moves
        assert (move.start_seconds, move.end_seconds) == pytest.approx((1, 4), abs=0.15)


def test_real_clips(real_clips: Path) -> None:
    assert survey_clip(real_clips / "bigbuckbunny.mp4").moves == ()
    handheld = survey_clip(real_clips / "bikes.mp4").moves
    assert sum(move.end_seconds - move.start_seconds for move in handheld) > 3
