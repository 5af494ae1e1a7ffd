"""The same clip in six containers and at four rates: the same seconds, price, cuts and frames, in step."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.api.limits import MODELS, Mode, price
from kling_once.media.conform import conform_clip
from kling_once.media.survey import survey_clip
from kling_once.media.types import ClipBounds, ConformMode, TrimWindow
from kling_once.order import billed_seconds
from tests.media.codecs import x265
from tests.media.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

SECONDS, CUT_SECONDS, BEEP_SECONDS = 4, 2.0, 1.0
BITS, BLOCK_PX = 10, 32
CONTAINERS: dict[str, tuple[str, ...]] = {
    "mp4": ("-c:a", "aac"),
    "mov": ("-c:a", "aac"),
    "mkv": ("-c:a", "aac"),
    "avi": ("-c:a", "mp3"),
    "ts": ("-c:a", "aac"),
    "fragmented.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
}
H264_B = ("-c:v", "libx264", "-preset", "superfast", "-bf", "3", "-g", "48", "-pix_fmt", "yuv420p")


def numbered(clips: Any, real_clips: Path, rate: int, container: str, *options: str) -> Path:
    """A clip whose frames carry their number in black and white blocks; a cut at 2 s and a beep at 1 s."""
    shots = ";".join(
        f"movie='{real_clips / name}':s=dv,fps={rate},scale=640:328,setsar=1,trim=end_frame={2 * rate},"
        f"format=yuv420p[{end}]"
        for name, end in (("bigbuckbunny.mp4", "a"), ("carphone_pristine.mp4", "b"))
    )
    size = f"s={BITS * BLOCK_PX}x{BLOCK_PX}:r={rate}:d={SECONDS}"
    number = f"geq=lum='16+219*mod(floor(N/pow(2,floor(X/{BLOCK_PX}))),2)':cb=128:cr=128"
    graph = (
        f"{shots};[a][b]concat=n=2[c];color=gray:{size},format=yuv420p,{number},pad=640:{BLOCK_PX}[n];"
        "[n][c]vstack[out]"
    )
    beep = (
        f"aevalsrc='0.8*sin(2*PI*1000*t)*between(t,{BEEP_SECONDS},{BEEP_SECONDS + 0.2})':s=48000:d={SECONDS}"
    )
    picture = clips.make(f"numbered_{rate}.picture.mp4", "-filter_complex", graph, "-map", "[out]", *H264_B)
    return clips.make(
        f"numbered_{rate}.{container}",
        *("-i", str(picture), "-f", "lavfi", "-i", beep, "-c:v", "copy"),
        *(*CONTAINERS.get(container, ()), *options),
    )


def numbers(path: Path) -> list[int]:
    """The numbers of a clip's frames in the order in which FFmpeg shows them."""
    raw = run(
        *("ffmpeg", "-v", "error", "-i", str(path), "-vsync", "passthrough"),
        *("-vf", f"crop={BITS * BLOCK_PX}:{BLOCK_PX}:0:0,scale={BITS}:1:flags=area", "-f", "rawvideo"),
        *("-pix_fmt", "gray", "-"),
    )
    bits = np.frombuffer(raw, np.uint8).reshape(-1, BITS) > 128
    return (bits @ (1 << np.arange(BITS))).tolist()


def frame_times(path: Path) -> list[float]:
    raw = run(
        *("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time"),
        *("-of", "csv=p=0", str(path)),
    )
    return sorted(float(line.strip(",")) for line in raw.decode().split())


@pytest.mark.parametrize("rate", [24, 30, 60, 120])
@pytest.mark.parametrize("container", list(CONTAINERS))
def test_the_same_clip_is_the_same_in_every_container(
    container: str, rate: int, clips: Any, real_clips: Path, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    source = numbered(clips, real_clips, rate, container)
    assert sorted(numbers(source)) == list(range(SECONDS * rate))
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert made.violations == ()
    seconds = billed_seconds(made.facts.duration_seconds)
    assert seconds == SECONDS
    assert price(MODELS["kling-v2-6"], Mode.STD, seconds, china=False).units == 2
    assert survey_clip(made.path).cuts == pytest.approx((CUT_SECONDS,), abs=0.01)

    assert numbers(made.path) == list(range(SECONDS * rate))
    times = frame_times(made.path)
    beep = float(np.flatnonzero(np.abs(clips.sound(made.path)) > 0.1)[0]) / 48000
    assert times == pytest.approx(np.arange(SECONDS * rate) / rate, abs=0.04)
    step = (beep - BEEP_SECONDS) - (times[round(BEEP_SECONDS * rate)] - BEEP_SECONDS)
    assert abs(step) < 0.04, (step, made.report)


@pytest.mark.parametrize("container", ["avi", "264", "265"])
def test_frames_without_times_keep_their_order_after_a_trim(
    container: str, clips: Any, real_clips: Path, tmp_path: Path, video_bounds: ClipBounds
) -> None:
    options = ("-an",) if container != "avi" else ()
    codec = x265() if container == "265" else ()
    source = numbered(clips, real_clips, 25, container, *options, *codec)
    window = TrimWindow(Fraction(2, 5), Fraction(16, 5))
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO, window=window)
    assert made.violations == ()
    assert numbers(made.path) == list(range(10, 90))


def test_a_raw_stream_is_read(clips: Any, real_clips: Path, tmp_path: Path, video_bounds: ClipBounds) -> None:
    source = numbered(clips, real_clips, 25, "264", "-an")
    made = conform_clip(source, tmp_path, video_bounds, mode=ConformMode.AUTO)
    assert (made.violations, made.facts.duration_seconds) == ((), 4.0)
    assert made.report == ("Re-encoded frame by frame, since h264 does not say when a picture is shown.",)
    assert numbers(made.path) == list(range(100))
