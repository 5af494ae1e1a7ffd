from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.media import color as tone
from kling_once.media.conform import conform_clip
from kling_once.media.types import ConformMode
from tests.media.codecs import x265

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.media.types import ClipBounds

CURVES = {"pq": "smpte2084", "hlg": "arib-std-b67"}


@pytest.mark.parametrize("transfer", CURVES.values())
@pytest.mark.parametrize("primaries", ["bt2020", "bt709", "smpte432"])
def test_greys_stay_grey_and_in_order(transfer: str, primaries: str) -> None:
    ramp = np.linspace(0, 1, 256)[:, None].repeat(3, 1)
    shown = tone.to_bt709(ramp, primaries, transfer)
    assert np.ptp(shown, axis=1).max() * 255 < 0.5
    assert (np.diff(shown[:, 0]) >= -1e-9).all()
    assert shown[0].max() == 0
    assert shown[-1].min() > 0.99


def test_wide_gamut_greys_are_untouched() -> None:
    ramp = np.linspace(0, 1, 256)[:, None].repeat(3, 1)
    assert np.abs(tone.to_bt709(ramp, "smpte432", "bt709") - ramp).max() * 255 < 0.5


def xyz(primaries: str) -> np.ndarray:
    return tone.to_xyz(tone.CHROMATICITIES[primaries], tone.D65)


def hdr_signal(sdr: np.ndarray, transfer: str) -> np.ndarray:
    """What an HDR camera would store for a scene that is `sdr` with white at 203 nits (ITU-R BT.2408)."""
    matrix = np.linalg.inv(xyz("bt2020")) @ xyz("bt709")
    nits = np.clip((sdr / 255) ** 2.4 @ matrix.T * 203, 0, None)
    if transfer == "smpte2084":
        return tone._nits_to_pq(nits)
    a, b, c = tone._HLG
    luma = (nits / 1000 @ tone._LUMA_2020)[..., None]
    scene = nits / 1000 * np.maximum(luma, 1e-9) ** (1 / 1.2 - 1)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


@pytest.mark.media
@pytest.mark.parametrize("name", CURVES)
def test_an_hdr_clip_looks_as_its_scene(
    name: str,
    clips: Any,
    tmp_path: Path,
    video_bounds: ClipBounds,
    chart_patches: Callable[[np.ndarray], np.ndarray],
    chart_colors: np.ndarray,
) -> None:
    transfer = CURVES[name]
    signal = hdr_signal(chart_colors, transfer).reshape(2, 5, 3).repeat(256, axis=0).repeat(128, axis=1)
    raw = tmp_path / "signal.rgb"
    raw.write_bytes((np.clip(signal, 0, 1) * 65535 + 0.5).astype("<u2").tobytes())
    source = clips.make(
        f"hdr_{name}.mov",
        *("-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", "640x512", "-r", "25", "-i", str(raw)),
        *("-vf", "scale=out_color_matrix=bt2020:out_range=tv,loop=80:1:0", "-pix_fmt", "yuv420p10le"),
        *(*x265(f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"), "-crf", "4"),
        *("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-tag:v", "hvc1"),
    )
    out = tmp_path / "out"
    made = conform_clip(source, out, video_bounds, mode=ConformMode.AUTO)
    assert list(out.iterdir()) == [made.path]
    assert (made.facts.color_transfer, made.facts.bit_depth) == ("bt709", 8)
    assert any("Tone mapped from HDR" in sentence for sentence in made.report)
    shown = chart_patches(clips.frame(made.path, 1))
    greys, dark = shown[:5], [2, 3, 4, 6, 7]  # patches under the knee of the curve
    assert np.ptp(greys, axis=1).max() <= 3
    assert np.abs(shown[dark] - chart_colors[dark]).max() <= 4
    assert 210 <= shown[0].mean() <= 245  # white leaves room for highlights
    assert np.abs(shown[5] - chart_colors[5]).max() <= 20  # light skin: a little darker, of its own hue
    assert np.abs(shown[5] / shown[5].sum() - chart_colors[5] / chart_colors[5].sum()).max() < 0.02
