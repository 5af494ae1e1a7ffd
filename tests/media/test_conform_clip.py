"""The corpus: each clip fits every documented limit afterwards, as ffprobe measures it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.errors import MediaStopped, UnreadableMedia
from kling_once.media.conform import conform_clip, facts_of_frames
from kling_once.media.plan import CROPPED, plan_clip
from kling_once.media.probe import probe_clip
from kling_once.media.types import (
    ClipBounds,
    ConformMode,
    Frames,
    TrimWindow,
)
from tests.media.codecs import X264, X265

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

CORPUS: dict[str, tuple[str, float, tuple[str, ...], dict[str, str]]] = {
    "h264": ("mp4", 3, X264, {}),
    "hevc": ("mp4", 3, (*X265, "-pix_fmt", "yuv420p"), {}),
    "hevc_10_bit": ("mov", 3, (*X265, "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1"), {}),
    "prores": ("mov", 3, ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s16le"), {}),
    "vp9": ("webm", 3, ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"), {}),
    "av1": ("mkv", 3, ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-c:a", "aac"), {}),
    "mjpeg": ("avi", 3, ("-c:v", "mjpeg", "-q:v", "3"), {}),
    "h264_444": ("mp4", 3, ("-c:v", "libx264", "-pix_fmt", "yuv444p", "-preset", "ultrafast"), {}),
    "h264_matroska": ("mkv", 3.04, X264, {}),
    "h264_transport_stream": ("ts", 3.04, X264, {}),
    "h264_in_avi": ("avi", 3.04, (*X264, "-bf", "0", "-c:a", "mp3"), {}),
    "h264_flv": ("flv", 3.04, X264, {}),
    "h264_fragmented": ("mp4", 3, (*X264, "-movflags", "frag_keyframe+empty_moov"), {}),
    "h264_pcm": ("mov", 3, (*X264, "-c:a", "pcm_s16le"), {}),
    "variable_rate": ("mp4", 4, (*X264, "-vf", "select='lt(t,2)+not(mod(n,3))'", "-vsync", "vfr"), {}),
    "23.976_fps": ("mkv", 3.1, X265, {"rate": "24000/1001"}),
    "50_fps": ("mkv", 3, X265, {"rate": "50"}),
    "59.94_fps": ("mkv", 3.1, X265, {"rate": "60000/1001"}),
    "120_fps": ("mkv", 3, X265, {"rate": "120", "size": "360x360"}),
    "odd_sides": ("mov", 3, ("-c:v", "prores_ks", "-vf", "format=yuv444p10le,scale=641:481"), {}),
    "200_px": ("mp4", 3, X264, {"size": "200x200"}),
    "8k": ("mp4", 3, X264, {"size": "7680x4320", "rate": "2"}),
    "very_wide": ("mp4", 3, X264, {"size": "2000x100"}),
    "3851_px": ("mp4", 3, ("-c:v", "mpeg4", "-q:v", "5"), {"size": "3852x400", "rate": "5"}),
    "not_square": ("mp4", 3, (*X264, "-vf", "setsar=4/3"), {}),
    "interlaced": ("mov", 3, ("-c:v", "prores_ks", "-flags", "+ildct", "-vf", "setfield=tff"), {}),
    "no_sound": ("mkv", 3, (*X264, "-an"), {}),
    "mono_8_khz": ("mkv", 3, (*X265, "-ac", "1", "-ar", "8000"), {}),
    "5.1": ("mkv", 3, (*X265, "-ac", "6"), {}),
    "sound_of_ten_ms": ("mkv", 3, (*X265, "-af", "atrim=end=0.01"), {}),
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_clip_of_any_kind_fits_afterwards(
    name: str, clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    suffix, seconds, options, pattern = CORPUS[name]
    source = clips.pattern(f"{name}.{suffix}", seconds, *options, **pattern)
    before = clips.measure(source)
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, video_bounds)
    if name != "variable_rate":
        assert Fraction(probe.video["r_frame_rate"]) == Fraction(pattern.get("rate", "25"))
    assert probe.duration_seconds == pytest.approx(before.duration_seconds, abs=0.15)
    assert (probe.audio is None) == (name == "no_sound")
    assert bool(made.report) != made.is_original
    assert list(tmp_path.iterdir()) == ([] if made.is_original else [made.path])


def test_a_clip_that_fits_is_sent_byte_for_byte(
    clips: Any, real_clips: Path, tmp_path: Path, image_bounds: ClipBounds
) -> None:
    tagged = "h264_metadata=colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"
    bunny = ("-i", str(real_clips / "bigbuckbunny.mp4"))
    source = clips.make("plain_bunny.mp4", *bunny, "-map_metadata", "-1", "-c", "copy", "-bsf:v", tagged)
    made = conform_clip(source, tmp_path, image_bounds, mode=ConformMode.AUTO)
    assert (made.path, made.is_original, made.report) == (source, True, ())
    assert made.used_range == (0.0, pytest.approx(5.28))


def test_a_real_clip_that_is_too_low_is_scaled_with_its_ratio(
    clips: Any, real_clips: Path, tmp_path: Path, image_bounds: ClipBounds
) -> None:
    made = conform_clip(real_clips / "bikes.mp4", tmp_path, image_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, image_bounds)
    assert (probe.width_px, probe.height_px, probe.frame_count) == (800, 340, 250)
    assert made.report == ("Scaled from 640 x 272 to 800 x 340 px.",)


def test_only_the_container_is_changed_when_only_that_is_wrong(
    clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.pattern("repacked.mkv", 3.04, *X264, "-bf", "2", "-preset", "fast")
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    clips.require_fit(made, video_bounds)
    assert made.report == ("Repacked from matroska to MP4; the pictures are untouched.",)
    assert np.array_equal(clips.frame(made.path, 1), clips.frame(source, 1))


@pytest.mark.parametrize("seconds", [3.0, 10.0, 30.0])
def test_the_limits_themselves_are_allowed(
    seconds: float, clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.pattern(f"exactly_{seconds}.mp4", seconds, *X264, "-an", size="400x400")
    assert conform_clip(source, tmp_path, video_bounds, mode=ConformMode.OFF).violations == ()
    assert conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO).is_original


def test_a_clip_that_is_too_short_cannot_be_mended(
    clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.pattern("short.mp4", 2.9, *X264, size="200x200")
    for mode in ConformMode:
        made = conform_clip(source, tmp_path, video_bounds, mode=mode)
        (violation,) = [v for v in made.violations if v.rule.startswith("video.duration")]
        assert (violation.field, violation.rule) == ("video", "video.duration.min")
        assert "2.9 s long" in violation.message
    assert list(tmp_path.iterdir()) == []


def test_a_little_too_long_is_trimmed(clips: Any, tmp_path: Path, image_bounds: ClipBounds) -> None:
    source = clips.pattern("ten_and_a_bit.mp4", 10.04, *X264, size="400x400")
    made = conform_clip(source, tmp_path, image_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, image_bounds)
    assert made.used_range == (0.0, pytest.approx(9.96))
    assert probe.duration_seconds == pytest.approx(9.96, abs=0.02)
    assert "0:00-0:09.96" in made.report[0]


def test_more_than_half_a_second_is_cut_only_when_allowed(
    clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.pattern("long.mp4", 31, *X264, size="400x400")
    refused = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert refused.violations[0].message == (
        "Reference video is 31.0 s long; orientation 'video' allows 3 to 30 s. Trim it with the node Trim "
        "Video, or set conform to 'auto, trim to limit'; that would use 0:00-0:30."
    )
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.TRIM)
    clips.require_fit(made, video_bounds)
    assert made.used_range == (0.0, pytest.approx(29.96))


def test_off_changes_nothing(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.pattern("off.mkv", 3.04, *X264, size="200x200")
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.OFF)
    assert {v.rule for v in made.violations} == {"video.container", "video.side.min"}
    assert made.is_original


@pytest.mark.parametrize("mode", list(ConformMode))
def test_a_trim_window_is_always_cut_out(
    mode: ConformMode, clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = clips.flashes("window.mp4", *X264, "-g", "250", seconds=8)
    made = conform_clip(source, tmp_path, video_bounds, mode=mode, window=TrimWindow(2.6, 4))
    probe = clips.require_fit(made, video_bounds)
    assert made.used_range == (pytest.approx(2.6), pytest.approx(6.6))
    assert probe.duration_seconds == pytest.approx(4, abs=0.03)
    flash, beep = clips.flash_and_beep(made.path)
    assert flash == pytest.approx(0.4, abs=0.041)
    assert beep == pytest.approx(0.4, abs=0.02)


RATES = ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120000/1001", "120")


@pytest.mark.parametrize("longest", [10, 30])
@pytest.mark.parametrize("start", [0, 0.51])
@pytest.mark.parametrize("rate", RATES)
def test_a_cut_of_the_longest_length_keeps_to_the_limit_at_every_rate(
    rate: str, start: float, longest: int, video_bounds: ClipBounds
) -> None:
    bounds = replace(video_bounds, max_duration_seconds=longest)
    frames = np.broadcast_to(np.float32(0), (int(Fraction(rate) * 40), 400, 400, 3))
    facts = facts_of_frames(Frames(frames, Fraction(rate)))
    plan = plan_clip(facts, bounds, ConformMode.AUTO, TrimWindow(start, longest))
    assert plan.violations == ()
    assert longest - 1 / Fraction(rate) < plan.seconds <= longest


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001"])
@pytest.mark.parametrize("start", [0, 0.51])
def test_ten_seconds_of_a_broadcast_rate_are_accepted(
    rate: str, start: float, clips: Any, tmp_path: Path, image_bounds: ClipBounds
) -> None:
    source = clips.pattern(f"broadcast_{rate.replace('/', '_')}.mp4", 12, *X264, rate=rate, size="400x400")
    window = TrimWindow(start, 10)
    made = conform_clip(source, tmp_path, image_bounds, mode=ConformMode.AUTO, window=window)
    assert clips.require_fit(made, image_bounds).duration_seconds == pytest.approx(10, abs=0.06)


def test_an_odd_row_that_is_cut_off_is_told(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.pattern("odd.mp4", 3, *X264, "-pix_fmt", "yuv444p", "-vf", "format=yuv444p,scale=641:481")
    plain = replace(probe_clip(source), pixel_format="yuv420p")  # as a recorder of the screen writes it
    assert plan_clip(plain, video_bounds, ConformMode.AUTO).report == (CROPPED,)
    assert plan_clip(plain, video_bounds, ConformMode.OFF).report == ()
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, video_bounds)
    assert (probe.width_px, probe.height_px, CROPPED in made.report) == (640, 480, True)


@pytest.mark.parametrize("mode", list(ConformMode))
def test_an_odd_row_of_frames_that_is_cut_off_is_told(
    mode: ConformMode, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    frames = Frames(np.zeros((30, 361, 360, 3), np.float32), Fraction(10))
    made = conform_clip(frames, tmp_path, video_bounds, mode=mode)
    assert [sentence for sentence in made.report if "odd row" in sentence] == [CROPPED]


def test_a_clip_over_100_mb_gets_smaller(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.make(
        "huge.mp4",
        *("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25:d=4,noise=alls=100:allf=t"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-qp", "1", "-pix_fmt", "yuv420p"),
    )
    assert source.stat().st_size > 100_000_000
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    clips.require_fit(made, video_bounds)


def test_noise_stays_under_the_cap(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.make(
        "noise.mkv",
        *("-f", "lavfi", "-i", "color=gray:s=640x360:r=30:d=5,noise=alls=100:allf=t"),
        *("-c:v", "mpeg4", "-q:v", "1"),
    )
    tight = ClipBounds(3, 30, 340, 3850, 2_000_000, "video")
    clips.require_fit(conform_clip(source, tmp_path, tight, mode=ConformMode.AUTO), tight)


def test_a_probe_that_fails_is_never_a_pass(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    broken = tmp_path / "broken.mp4"
    whole = clips.pattern("h264.mp4", 3, *X264)
    broken.write_bytes(whole.read_bytes()[:50_000])
    with pytest.raises(UnreadableMedia, match=r"broken\.mp4"):
        conform_clip(broken, tmp_path / "out", video_bounds, mode=ConformMode.AUTO)


def test_stopping_leaves_no_file(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    for suffix, options in (("mp4", X265), ("mkv", X264)):
        source = clips.pattern(f"stopped.{suffix}", 10, *options, size="1280x720")
        for answers in (3, 40):
            left = iter([False] * answers)
            with pytest.raises(MediaStopped):
                conform_clip(
                    source,
                    tmp_path,
                    video_bounds,
                    mode=ConformMode.AUTO,
                    stop=lambda left=left: next(left, True),
                )
            assert list(tmp_path.iterdir()) == []


def test_conforming_twice_gives_the_same_bytes(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.pattern("200_px.mp4", 3, *X264, size="200x200")
    first, second = (
        conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO).path.read_bytes()
        for _ in range(2)
    )
    assert first == second


def test_progress_is_told(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    told: list[tuple[int, int]] = []
    conform_clip(
        clips.pattern("200_px.mp4", 3, *X264, size="200x200"),
        tmp_path,
        video_bounds,
        mode=ConformMode.AUTO,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told[0] == (1, 75)
    assert told[-1] == (75, 75)
