"""A conformed clip looks as a player shows its source: colours, upright."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.media.conform import conform_clip
from kling_once.media.probe import probe_clip
from kling_once.media.types import ClipBounds, ConformMode
from tests.media.codecs import X264, X265

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.media

COLORS = {
    "bt709": ("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709"),
    "bt601": ("-vf", "scale=out_color_matrix=bt601:out_range=tv", "-colorspace", "smpte170m"),
    "untagged": (),
    "full_range": (
        *("-vf", "scale=out_color_matrix=bt709:out_range=pc", "-colorspace", "bt709"),
        *("-color_range", "pc"),
    ),
    "full_range_bt601": (
        *("-vf", "scale=out_color_matrix=bt601:out_range=pc", "-colorspace", "smpte170m"),
        *("-color_range", "pc"),
    ),
}


@pytest.mark.parametrize("name", COLORS)
@pytest.mark.parametrize("depth", ["yuv444p", "yuv420p10le"])
def test_colors_stay(
    name: str,
    depth: str,
    clips: Any,
    tmp_path: Path,
    video_bounds: ClipBounds,
    chart_patches: Callable[[np.ndarray], np.ndarray],
    chart_colors: np.ndarray,
) -> None:
    source = clips.chart(f"chart_{name}_{depth}.mkv", *COLORS[name], *X265, "-pix_fmt", depth, "-crf", "1")
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, video_bounds)
    assert probe.video["color_space"] == probe.video["color_primaries"] == "bt709"
    assert probe.video["color_transfer"] == "bt709"
    assert probe.video["color_range"] == "tv"
    assert np.abs(chart_patches(clips.frame(made.path, 1)) - chart_colors).max() <= 3


CODECS = {
    "mjpeg": ("avi", ("-c:v", "mjpeg", "-q:v", "1", "-pix_fmt", "yuvj444p")),
    "prores": ("mov", ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuv444p10le")),
    "vp9": ("webm", ("-c:v", "libvpx-vp9", "-crf", "4", "-b:v", "0", "-deadline", "realtime")),
    "av1": ("mkv", ("-c:v", "libaom-av1", "-crf", "4", "-usage", "realtime", "-cpu-used", "8")),
    "h264_scaled": ("mp4", (*X264, "-crf", "1", "-s", "320x256")),
}
"""Untagged; MJPEG is of full range, the others of limited."""


@pytest.mark.parametrize("name", CODECS)
def test_colors_of_every_codec_stay(
    name: str,
    clips: Any,
    tmp_path: Path,
    video_bounds: ClipBounds,
    chart_patches: Callable[[np.ndarray], np.ndarray],
    chart_colors: np.ndarray,
) -> None:
    suffix, options = CODECS[name]
    source = clips.chart(f"chart_of_{name}.{suffix}", *options)
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    clips.require_fit(made, video_bounds)
    assert not made.is_original
    assert np.abs(chart_patches(clips.frame(made.path, 1)) - chart_colors).max() <= 3


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_comes_out_upright(
    degrees: int,
    clips: Any,
    tmp_path: Path,
    video_bounds: ClipBounds,
    chart_patches: Callable[[np.ndarray], np.ndarray],
) -> None:
    plain = clips.chart("chart_plain.mp4", *X264)
    source = clips.make(
        f"chart_rotated_{degrees}.mov", "-i", str(plain), "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}"
    )
    assert abs(clips.measure(source).rotation) in {degrees, 360 - degrees}
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    probe = clips.require_fit(made, video_bounds)
    shown = clips.frame(source, 1)  # FFmpeg turns it by itself
    assert (probe.height_px, probe.width_px) == shown.shape[:2]
    difference = np.abs(shown.astype(int) - clips.frame(made.path, 1).astype(int))
    assert np.median(difference) <= 3
    assert difference.mean() < 4
    assert any("upright" in sentence for sentence in made.report)


def test_a_mirrored_clip_comes_out_as_a_player_shows_it(
    clips: Any,
    tmp_path: Path,
    video_bounds: ClipBounds,
    chart_patches: Callable[[np.ndarray], np.ndarray],
    chart_colors: np.ndarray,
) -> None:
    data = bytearray(clips.chart("chart_plain.mp4", *X264).read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 4] = struct.pack(">i", -1 << 16)  # left is right,
    data[matrix + 24 : matrix + 28] = struct.pack(">i", 640 << 16)  # and back into view
    source = tmp_path / "mirrored.mp4"
    source.write_bytes(data)
    assert probe_clip(source).is_mirrored
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    clips.require_fit(made, video_bounds)
    assert made.path != source
    mirrored = chart_colors.reshape(2, 5, 3)[:, ::-1].reshape(10, 3)
    assert np.abs(chart_patches(clips.frame(made.path, 1)) - mirrored).max() <= 6
    assert any("Mirrored" in sentence for sentence in made.report)
