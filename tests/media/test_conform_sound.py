"""Sound stays in step with the picture, and is never longer than it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.media.conform import conform_clip
from kling_once.media.types import ClipBounds, ConformMode, TrimWindow
from tests.media.codecs import X264, X265, x265

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.media

SOUND = {
    "in_step": ("mov", ("-c:v", "prores_ks")),
    "sound_later": ("mov", ("-c:v", "mpeg4", "-af", "adelay=0:all=1")),
    "delayed_start": ("mkv", (*X265, "-output_ts_offset", "5")),
    "transport_stream": ("ts", (*X265,)),
    "variable_rate": ("mp4", (*X264, "-vf", "select='lt(t,4)+not(mod(n,3))'", "-vsync", "vfr")),
    "60_fps": ("mkv", (*X265, "-r", "60")),
    "8_khz": ("mkv", (*X265, "-ac", "1", "-ar", "8000")),
    "5.1": ("mkv", (*X265, "-ac", "6")),
    "sound_longer": ("mkv", (*X265, "-vf", "trim=end=4")),
    "sound_shorter": ("mkv", (*X265, "-af", "atrim=end=2")),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_stays_in_step(name: str, clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    suffix, options = SOUND[name]
    source = clips.flashes(f"flash_{name}.{suffix}", *options)
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    clips.require_fit(made, video_bounds)
    flash, beep = clips.flash_and_beep(made.path)
    assert flash == pytest.approx(1.0, abs=0.041)
    assert abs(flash - beep) < 0.040


def test_sound_that_starts_late_stays_in_step(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.flashes("flash_plain.mp4", *X264)
    late = clips.make(
        "flash_late_sound.mkv",
        *("-i", str(source), "-ss", "0.7", "-i", str(source), "-map", "0:v", "-map", "1:a"),
        *x265(),
        *("-af", "asetpts=PTS+0.7/TB", "-c:a", "aac"),
    )
    made = conform_clip(late, tmp_path, video_bounds, mode=ConformMode.AUTO)
    flash, beep = clips.flash_and_beep(made.path)
    assert abs(flash - beep) < 0.040


def test_an_edit_list_is_honoured(clips: Any, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = clips.flashes("flash_edit_source.mp4", *X264, "-g", "250")
    cut = clips.make("flash_edit.mp4", "-ss", "0.5", "-i", str(source), "-c", "copy")
    made = conform_clip(cut, tmp_path, video_bounds, mode=ConformMode.AUTO, window=TrimWindow(0, 4))
    clips.require_fit(made, video_bounds)
    flash, beep = clips.flash_and_beep(made.path)
    assert flash == pytest.approx(0.5, abs=0.041)
    assert abs(flash - beep) < 0.040


def test_sound_may_be_longer_or_shorter_than_the_picture(
    clips: Any, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    for name, sound_seconds in (("longer", 6), ("shorter", 2)):
        source = clips.make(
            f"sound_{name}.mkv",
            *("-f", "lavfi", "-i", "testsrc2=s=400x400:r=25:d=4"),
            *("-f", "lavfi", "-i", f"sine=d={sound_seconds}", *X265, "-pix_fmt", "yuv420p"),
        )
        made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
        probe = clips.require_fit(made, video_bounds)
        assert probe.duration_seconds == pytest.approx(4, abs=0.05)


def test_sound_beyond_the_limit_is_no_reason_to_refuse(
    clips: Any, tmp_path: Path, image_bounds: ClipBounds
) -> None:
    source = clips.make(
        "sound_beyond.mp4",
        *("-f", "lavfi", "-i", "testsrc2=s=400x400:r=25:d=8", "-f", "lavfi", "-i", "sine=d=14", *X264),
    )
    made = conform_clip(source, tmp_path, image_bounds, mode=ConformMode.AUTO)
    clips.require_fit(made, image_bounds)
    assert "had no picture" in made.report[0]
