"""A clip as a phone makes it, 12 s of HEVC in HLG lying on its side, given to `kling-once run`."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.media.codecs import x265

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.media

WIDTH_PX, HEIGHT_PX = 540, 960
"""As it is seen: upright."""
ROWS = np.array(
    [
        [(128, 128, 128), (224, 172, 140)],
        [(64, 64, 64), (141, 85, 54)],
        [(191, 191, 191), (60, 90, 180)],
    ],
    np.uint8,
)
"""Greys on the left; light skin, dark skin and sky on the right: no two corners are alike."""
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""BT.709 to BT.2020 primaries (ITU-R BT.2087)."""


def hlg_signal(colors: np.ndarray) -> np.ndarray:
    """Return 8-bit BT.709 colours as an HLG display of 1000 nits shows them, white at 203 nits (BT.2408)."""
    light = (colors / 255) ** 2.4 @ TO_2020.T * 203 / 1000
    luma = (light @ np.array([0.2627, 0.6780, 0.0593]))[..., None]
    scene = light * luma ** (1 / 1.2 - 1)
    bent = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bent)


@pytest.fixture(scope="module")
def phone_clip(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    upright = np.repeat(np.repeat(hlg_signal(ROWS), HEIGHT_PX // 3, axis=0), WIDTH_PX // 2, axis=1)
    folder = tmp_path_factory.mktemp("phone")
    picture, second, clip = folder / "picture.raw", folder / "second.mov", folder / "IMG_0001.MOV"
    still = (np.rot90(upright) * 65535).round().astype("<u2")
    moved = still.copy()
    moved[:50, :300] = 0  # at the edge, where nobody measures: a clip that never moves is refused
    picture.write_bytes(still.tobytes() + moved.tobytes())
    ffmpeg(
        *(
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb48le",
            "-framerate",
            30,
            "-s",
            f"{HEIGHT_PX}x{WIDTH_PX}",
            "-i",
            picture,
        ),
        *("-vf", "loop=14:2,scale=out_color_matrix=bt2020", "-pix_fmt", "yuv420p10le"),
        *x265("bframes=0"),
        *("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc"),
        second,
    )
    ffmpeg(
        *("-stream_loop", 11, "-i", second, "-f", "lavfi", "-i", "sine=d=12", "-c:v", "copy", "-c:a", "aac"),
        *("-tag:v", "hvc1", "-metadata:s:v:0", "rotate=270", clip),
    )
    (stream, *_) = probed(clip)["streams"]
    assert (stream["codec_name"], stream["color_transfer"]) == ("hevc", "arib-std-b67")
    assert [side["rotation"] for side in stream["side_data_list"] if "rotation" in side] == [-90]
    return clip


def probed(path: Path) -> Any:
    arguments = ("ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path))
    return json.loads(subprocess.run(arguments, capture_output=True, check=True).stdout)


def shown(path: Path) -> np.ndarray:
    """One frame as FFmpeg itself shows it, (H, W, 3)."""
    raw = subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-ss", "5", "-i", str(path), "-frames:v", "1"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-sws_flags", "accurate_rnd+full_chroma_int", "-"),
        ],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(HEIGHT_PX, WIDTH_PX, 3)


def test_it_is_refused_by_auto_which_names_the_range_that_trimming_would_use(
    vendor: Any,
    tunnel: Any,
    command: Callable[..., Any],
    small_picture: Path,
    phone_clip: Path,
) -> None:
    run = command("run", small_picture, phone_clip, "--service", "kling", "--orientation", "image")
    ended = run.end()
    assert ended.code == 1
    assert "Reference video is 12.0 s long; orientation 'image' allows 3 to 10 s." in ended.err
    assert "use conform 'auto, trim to limit', which takes its first 9.96 s.\n" in ended.err
    assert vendor.calls() == []


def test_it_is_trimmed_turned_upright_and_accepted_and_the_report_says_so(
    vendor: Any,
    tunnel: Any,
    command: Callable[..., Any],
    small_picture: Path,
    phone_clip: Path,
    home: Path,
) -> None:
    options = ("--service", "kling", "--orientation", "image", "--conform", "auto, trim to limit")
    ended = command("run", small_picture, phone_clip, *options, "--json").end()
    assert (ended.code, ended.err) == (0, "")
    assert [create["status"] for create in vendor.creates()] == [200]
    for sentence in (
        "Trimmed from 12.00 s to 9.96 s, the limit of orientation 'image': 0:00-0:09.96 is used.",
        "Re-encoded from HEVC to H.264.",
        "Tone mapped from HDR (HLG) to ordinary BT.709 colours.",
        "Turned upright (90 degrees).",
    ):
        assert sentence in ended.json["report"].splitlines()
    assert ended.json["duration_seconds"] == pytest.approx(9.96, abs=0.1)

    (sent,) = (home / "gateway" / "files").glob("*.mp4")
    facts = probed(sent)
    video, sound = facts["streams"]
    assert (video["codec_name"], video["pix_fmt"], video["color_transfer"]) == ("h264", "yuv420p", "bt709")
    assert (video["width"], video["height"], sound["codec_name"]) == (WIDTH_PX, HEIGHT_PX, "aac")
    assert "side_data_list" not in video
    assert 9.9 < float(facts["format"]["duration"]) <= 10

    frame = shown(sent)
    for row in range(3):
        for column in range(2):
            top, left = row * HEIGHT_PX // 3 + 60, column * WIDTH_PX // 2 + 60
            patch = frame[top : top + 150, left : left + 150].mean(axis=(0, 1))
            assert patch == pytest.approx(ROWS[row, column].astype(float), abs=12), (row, column)
