from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from kling_once.media.bounds import (
    clip_violations,
    clock,
    encoded_bytes,
    picture_violations,
)
from kling_once.media.types import ClipFacts, PictureFacts

if TYPE_CHECKING:
    from kling_once.media.types import ClipBounds, PictureBounds

CLIP = ClipFacts(
    container="mp4",
    video_codec="h264",
    pixel_format="yuv420p",
    bit_depth=8,
    color_primaries="bt709",
    color_transfer="bt709",
    color_space="bt709",
    color_range="tv",
    rotation_degrees=0,
    is_mirrored=False,
    is_interlaced=False,
    width_px=1280,
    height_px=720,
    stored_width_px=1280,
    stored_height_px=720,
    frame_rate=Fraction(30),
    is_variable_rate=False,
    duration_seconds=9.0,
    container_duration_seconds=9.0,
    picture_start_seconds=0.0,
    frame_count=270,
    sound=None,
    size_bytes=5_000_000,
)
PICTURE = PictureFacts(
    format="PNG",
    width_px=1000,
    height_px=1000,
    size_bytes=1_000_000,
    has_alpha=False,
    mode="RGB",
    frame_count=1,
    exif_orientation=1,
    bit_depth=8,
)


def test_what_fits_breaks_nothing(video_bounds: ClipBounds, picture_bounds: PictureBounds) -> None:
    assert clip_violations(CLIP, video_bounds) == ()
    assert picture_violations(PICTURE, picture_bounds) == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"container": "matroska"}, "video.container"),
        ({"size_bytes": 100_000_001}, "video.size"),
        ({"height_px": 339}, "video.side.min"),
        ({"width_px": 3851}, "video.side.max"),
        ({"duration_seconds": 2.999}, "video.duration.min"),
        ({"duration_seconds": 30.001}, "video.duration.max"),
    ],
)
def test_each_limit_of_a_clip_has_its_rule(change: dict, rule: str, video_bounds: ClipBounds) -> None:
    assert [v.rule for v in clip_violations(replace(CLIP, **change), video_bounds)] == [rule]


@pytest.mark.parametrize(
    "change",
    [
        {"size_bytes": 100_000_000},
        {"height_px": 340},
        {"width_px": 3850},
        {"duration_seconds": 3.0},
        {"duration_seconds": 30.0},
    ],
)
def test_the_bounds_of_a_clip_are_inclusive(change: dict, video_bounds: ClipBounds) -> None:
    assert clip_violations(replace(CLIP, **change), video_bounds) == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"format": "WEBP"}, "image.format"),
        ({"size_bytes": 7_500_001}, "image.size"),
        ({"width_px": 299, "height_px": 300}, "image.side.min"),
        ({"width_px": 65537, "height_px": 30000}, "image.side.max"),
        ({"width_px": 300, "height_px": 751}, "image.ratio"),
    ],
)
def test_each_limit_of_a_picture_has_its_rule(change: dict, rule: str, picture_bounds: PictureBounds) -> None:
    assert [v.rule for v in picture_violations(replace(PICTURE, **change), picture_bounds)] == [rule]


def test_the_bounds_of_a_picture_are_inclusive(picture_bounds: PictureBounds) -> None:
    for change in ({"size_bytes": 7_500_000}, {"width_px": 300, "height_px": 750}):
        assert picture_violations(replace(PICTURE, **change), picture_bounds) == ()


def test_a_message_names_the_value_the_limit_and_the_way_out(video_bounds: ClipBounds) -> None:
    (violation,) = clip_violations(replace(CLIP, duration_seconds=41.2), video_bounds)
    assert violation.field == "video"
    assert violation.message == (
        "Reference video is 41.2 s long; orientation 'video' allows 3 to 30 s. Trim it, or use conform "
        "'auto, trim to limit', which takes its first 29.96 s."
    )


def test_a_message_never_shows_the_limit_as_the_value(image_bounds: ClipBounds) -> None:
    (violation,) = clip_violations(replace(CLIP, duration_seconds=10.0004), image_bounds)
    assert "is 10.0004 s long" in violation.message


def test_base64_is_counted_as_it_is_sent() -> None:
    assert [encoded_bytes(size) for size in (0, 1, 3, 4)] == [0, 4, 4, 8]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (30, "0:30"), (62.5, "1:02.5"), (59.999, "1:00")]
)
def test_times_are_shown_as_on_a_player(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
