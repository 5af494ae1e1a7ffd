"""Which picture track is sent, how long it is, and what becomes of sound that outlasts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.media.conform import conform_clip
from kling_once.media.probe import probe_clip
from kling_once.media.survey import survey_clip
from kling_once.media.types import ClipBounds, ConformMode
from tests.media.codecs import X264

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

TWO = (
    *("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-f", "lavfi", "-i", "testsrc2=s=400x400:r=25:d=4"),
    *("-map", "0:v", "-map", "1:v", *X264),
)


def test_the_default_track_is_sent_and_no_other(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.make("second_default.mov", *TWO, "-disposition:0", "0", "-disposition:1", "default")
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, video_bounds)
    assert (probe.width_px, probe.height_px) == (400, 400)
    assert made.report == ("Left out of what is sent: further tracks.",)
    assert [stream["codec_type"] for stream in probe.json["streams"]] == ["video"]


def test_without_a_default_the_largest_track_is_sent(clips: Any) -> None:
    source = clips.make("none_default.mkv", *TWO, "-disposition:0", "0", "-disposition:1", "0")
    assert probe_clip(source).width_px == 640


@pytest.mark.parametrize("picture_seconds", [2.9, 3.2, 4.0])
def test_seconds_are_those_of_the_pictures_and_the_sound_ends_with_them(
    picture_seconds: float, clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.make(
        f"idle_sound_{picture_seconds}.mp4",
        *("-f", "lavfi", "-i", f"testsrc2=s=400x400:r=25:d={picture_seconds}"),
        *("-f", "lavfi", "-i", "sine=d=9", *X264, "-pix_fmt", "yuv420p"),
    )
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert made.facts.duration_seconds == pytest.approx(picture_seconds, abs=0.03)
    if picture_seconds < 3:
        assert [violation.rule for violation in made.violations] == ["video.duration.min"]
        return
    assert made.report == (f"Cut off the last {9 - picture_seconds:.2f} s of sound, which had no picture.",)
    assert clips.require_fit(made, video_bounds).duration_seconds == pytest.approx(picture_seconds, abs=0.05)


def test_a_subtitle_track_is_no_sound(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:01,000 --> 00:00:59,000\nStill here\n")
    pattern = clips.pattern("to_be_subtitled.mp4", 4, *X264)
    source = clips.make("subtitled.mkv", "-i", str(pattern), "-i", str(words), "-c", "copy", "-c:s", "srt")
    made = conform_clip(source, tmp_path / "out", video_bounds, mode=ConformMode.AUTO)
    assert made.violations == ()
    assert made.report == ("Repacked from matroska to MP4; the pictures are untouched.",)


def test_interlaced_h264_is_deinterlaced_or_said_to_be_combed(
    clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.pattern(
        "interlaced_h264.mp4",
        3,
        *X264,
        "-flags",
        "+ildct+ilme",
        "-x264-params",
        "tff=1",
        "-vf",
        "setfield=tff",
    )
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert made.report == ("Deinterlaced, so that no picture is combed.",)
    assert clips.require_fit(made, video_bounds).video.get("field_order", "progressive") == "progressive"
    untouched = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.OFF)
    assert untouched.report == ("It is interlaced and its pictures are combed.",)


@pytest.mark.parametrize("source", ["testsrc2=s=400x400:r=0.25:d=4", "color=red:s=400x400:r=25:d=4"])
def test_a_clip_of_one_picture_is_still(source: str, clips: Any) -> None:
    path = clips.make(f"still_{source[:4]}.mp4", "-f", "lavfi", "-i", source, *X264, "-pix_fmt", "yuv420p")
    assert survey_clip(path).is_still
