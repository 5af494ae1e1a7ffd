"""A clip that was not downloaded whole: what is lost is counted, named, and refused when it is much."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.media.conform import conform_clip
from kling_once.media.damage import Damage
from kling_once.media.survey import survey_clip
from kling_once.media.types import ClipBounds, ConformMode
from tests.media.codecs import X265

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media


@pytest.fixture
def whole(clips: Any, real_clips: Path) -> Path:
    """Real footage with its index in front, 132 frames."""
    options = ("-c", "copy", "-movflags", "+faststart")
    return clips.make("index_in_front.mp4", "-i", str(real_clips / "bigbuckbunny.mp4"), *options)


def test_a_whole_clip_has_lost_nothing(whole: Path) -> None:
    assert survey_clip(whole).damage == Damage(132)


@pytest.mark.parametrize("percent", [5, 20, 50, 80, 95])
def test_zeros_after_a_part_are_a_violation_that_counts_the_frames(
    percent: int, whole: Path, tmp_path: Path
) -> None:
    data = bytearray(whole.read_bytes())
    there = len(data) * percent // 100
    data[there:] = bytes(len(data) - there)
    path = tmp_path / "incomplete.mp4"
    path.write_bytes(data)
    damage = survey_clip(path).damage
    assert damage.frame_count == 132
    assert damage.lost == pytest.approx(132 * (1 - percent / 100), abs=20)
    assert damage.spans[-1][1] == pytest.approx(5.28)
    (violation,) = damage.violations("incomplete.mp4")
    assert violation.rule == "video.damaged"
    assert violation.message.startswith(f"{damage.lost} of the 132 frames of incomplete.mp4 are missing")


def test_a_damaged_frame_counts_with_all_that_are_predicted_from_it(whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = random.Random(1).randbytes(2000)
    path = tmp_path / "noise.mp4"
    path.write_bytes(data)
    damage = survey_clip(path).damage
    assert 50 < damage.lost < 90
    assert damage.is_too_much


def test_one_damaged_picture_is_only_named(clips: Any, real_clips: Path, tmp_path: Path) -> None:
    source = clips.make(
        "all_intra.mp4",
        *(
            "-i",
            str(real_clips / "bigbuckbunny.mp4"),
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "1",
            "-an",
        ),
    )
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = random.Random(1).randbytes(500)
    path = tmp_path / "one.mp4"
    path.write_bytes(data)
    damage = survey_clip(path).damage
    assert 1 <= damage.lost <= 2
    assert damage.violations("one.mp4") == ()
    assert f"{damage.lost} of the 132 frames of one.mp4" in damage.sentence("one.mp4")


def test_a_clip_that_must_be_encoded_is_not_frozen_where_it_is_lost(
    clips: Any, real_clips: Path, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.make(
        "hevc_index_in_front.mp4",
        *("-i", str(real_clips / "bigbuckbunny.mp4"), *X265, "-movflags", "+faststart"),
    )
    data = bytearray(source.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path = tmp_path / "incomplete_hevc.mp4"
    path.write_bytes(data)
    made = conform_clip(path, tmp_path / "out", video_bounds, mode=ConformMode.AUTO)
    assert [violation.rule for violation in made.violations] == ["video.damaged"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_recording_that_begins_between_two_key_frames_has_lost_nothing(
    clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    """A transport stream cut anywhere: what comes before its first key frame was never meant to be seen."""
    source = clips.pattern("long_recording.ts", 8, "-c:v", "libx264", "-g", "50", "-bf", "0")
    data = source.read_bytes()
    path = tmp_path / "begins_late.ts"
    path.write_bytes(data[len(data) // 8 // 188 * 188 :])
    made = conform_clip(path, tmp_path / "out", video_bounds, mode=ConformMode.AUTO)
    assert made.violations == ()
    assert survey_clip(made.path).damage.lost == 0
