"""A camera that moves is noticed; somebody who moves in front of one that stands still is not."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kling_once.errors import MediaStopped
from kling_once.media import camera
from kling_once.media.camera import CameraTracker
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


def pictures(count: int) -> list[np.ndarray]:
    """Return pictures of a wall that moves 3 px to the side each time."""
    wall = np.random.default_rng(8).integers(0, 255, (72, 400)).astype(np.uint8)
    return [wall[:, 3 * number : 3 * number + 128] for number in range(count)]


@pytest.mark.parametrize(
    ("seconds", "kinds"),
    [
        ((), []),
        ((0,), []),
        ((0, 0.4), []),
        ((0, 0.1, 0.2, 0.3, 0.4), ["pan"]),
        ((0, 0, 0, 0, 0), []),
        ((0, -0.4, -0.3, -0.2, -0.1), []),
    ],
    ids=["none", "one", "two", "five", "at once", "backwards"],
)
def test_few_pictures_and_strange_times_show_no_movement(
    seconds: tuple[float, ...], kinds: list[str]
) -> None:
    with CameraTracker() as tracker:
        for at, picture in zip(seconds, pictures(len(seconds)), strict=True):
            tracker.add(at, picture)
        assert [move.kind for move in tracker.moves()] == kinds


def test_a_stop_while_the_camera_is_followed_ends_its_thread(real_clips: Path) -> None:
    asked = itertools.count()
    with pytest.raises(MediaStopped):
        survey_clip(real_clips / "bikes.mp4", stop=lambda: next(asked) > 60)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kling-once-camera")]


def test_a_stop_is_heard_while_what_is_left_is_followed() -> None:
    with CameraTracker() as tracker:
        for number, picture in enumerate(pictures(80)):
            tracker.add(number / 10, picture)
        with pytest.raises(MediaStopped):
            tracker.moves(stop=lambda: True)


def test_an_error_of_the_cameras_thread_is_not_lost(
    real_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: np.ndarray) -> np.ndarray:
        raise FloatingPointError("broken")

    monkeypatch.setattr(camera, "_movements", broken)
    with pytest.raises(FloatingPointError, match="broken"):
        survey_clip(real_clips / "bikes.mp4")
