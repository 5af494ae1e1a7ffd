"""What the command line offers around media: conform, cuts, folders of frames, a look at what is sent."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.media


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """40 frames of 360x360, named so that only their numbers put them in order."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(40):
        pixels = np.full((360, 360, 3), 40, np.uint8)
        pixels[:, number * 8 : number * 8 + 24] = 220
        Image.fromarray(pixels).save(folder / f"f{number}.png")
    return folder


@pytest.fixture
def two_shots(ffmpeg: Callable[..., None], tmp_path: Path) -> Path:
    """4 s of one thing, then 2 s of another."""
    clip = tmp_path / "two_shots.mp4"
    ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=400x400:r=10:d=4",
            "-f",
            "lavfi",
            "-i",
            "mandelbrot=s=400x400:r=10",
        ),
        *("-filter_complex", "[1]trim=end=2[b];[0][b]concat", "-pix_fmt", "yuv420p", "-preset", "ultrafast"),
        clip,
    )
    return clip


@pytest.fixture
def small_frames_clip(ffmpeg: Callable[..., None], tmp_path: Path) -> Path:
    """4 s in 320x320: too few pixels."""
    clip = tmp_path / "low.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x320:r=10:d=4", "-pix_fmt", "yuv420p", clip)
    return clip


@pytest.fixture
def kling(vendor: Any, tunnel: Any, command: Callable[..., Any], small_picture: Path) -> Callable[..., Any]:
    """Return what runs a command with the picture and `--service kling`."""

    def run(name: str, video: Path, *options: Any) -> Any:
        return command(name, small_picture, video, "--service", "kling", *options).end()

    return run


def test_a_clip_with_a_cut_is_refused_with_its_time_and_sent_only_when_asked(
    vendor: Any, kling: Callable[..., Any], two_shots: Path
) -> None:
    refused = kling("run", two_shots)
    assert refused.code == 1
    assert "Reference video changes its shot at 0:04.00." in refused.err
    assert vendor.calls() == []
    assert kling("run", two_shots, "--cuts", "send", "--json").code == 0
    assert [create["status"] for create in vendor.creates()] == [200]


def test_conform_off_changes_nothing_and_names_the_limit(
    vendor: Any, kling: Callable[..., Any], small_frames_clip: Path
) -> None:
    refused = kling("run", small_frames_clip, "--conform", "off")
    assert refused.code == 1
    assert "Reference video is 320 x 320 px; each side must have at least 340 px." in refused.err
    assert vendor.calls() == []
    sent = kling("run", small_frames_clip, "--json")
    assert sent.code == 0
    assert "Scaled from 320 x 320 to 340 x 340 px." in sent.json["report"]
    assert [create["status"] for create in vendor.creates()] == [200]


def test_a_folder_of_frames_is_a_clip_of_the_rate_that_is_given(
    vendor: Any, kling: Callable[..., Any], frames: Path
) -> None:
    without = kling("run", frames)
    assert without.code == 1
    assert "frames is a folder of frames: give --fps, 1 to 240.\n" in without.err
    assert "(it is 'fast')" in kling("run", frames, "--fps", "fast").err
    ended = kling("run", frames, "--fps", 10, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["duration_seconds"] == pytest.approx(4, abs=0.1)
    assert [create["status"] for create in vendor.creates()] == [200]


def test_check_leaves_what_would_be_sent_in_a_folder_and_calls_nobody(
    vendor: Any,
    kling: Callable[..., Any],
    frames: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "look" / "here"
    ended = kling("check", frames, "--fps", "30000/3003", "--write", folder, "--json")
    assert (ended.code, ended.json["ok"]) == (0, True)
    picture, clip = (folder / name for name in ("figure_sent.png", "frames_sent.mp4"))
    assert ended.json["written"] == [str(picture), str(clip)]
    assert Image.open(io.BytesIO(picture.read_bytes())).size == (320, 320)
    with av.open(str(clip)) as container:
        (video,) = container.streams.video
        assert (video.average_rate, video.frames) == (Fraction(30000, 3003), 40)
    assert vendor.calls() == []


def test_what_check_leaves_is_what_run_sends(
    vendor: Any, kling: Callable[..., Any], small_frames_clip: Path, tmp_path: Path, home: Path
) -> None:
    kling("check", small_frames_clip, "--write", tmp_path / "look")
    kling("run", small_frames_clip, "--json")
    (sent,) = (home / "gateway" / "files").glob("*.mp4")
    assert (tmp_path / "look" / "low_sent.mp4").read_bytes() == sent.read_bytes()
