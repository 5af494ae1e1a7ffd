"""Frames to a file and back."""

from __future__ import annotations

from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_once.errors import MediaStopped, NotEnoughMemory, UnreadableMedia
from kling_once.media import decode as decoding
from kling_once.media import memory
from kling_once.media.conform import conform_clip
from kling_once.media.decode import decode_clip, decode_sound, select_frames
from kling_once.media.encode import encode_frames
from kling_once.media.probe import probe_clip
from kling_once.media.types import ConformMode, Frames, TrimWindow
from tests.slowness import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.media.types import ClipBounds

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.media

ASKED_BEFORE = 20
"""How often work looks whether to go on before it is stopped."""


def moving(count: int, width: int, height: int, channels: int = 3, speed: float = 2.0) -> Any:
    """Smooth moving colours, as a camera gives: noise would measure the encoder's limits, not ours."""
    across = np.linspace(0, 3, width, dtype=np.float32)[None, None, :, None]
    down = np.linspace(0, 2, height, dtype=np.float32)[None, :, None, None]
    when = np.arange(count, dtype=np.float32)[:, None, None, None] * np.float32(speed / 20)
    tint = np.array([0.0, 1.0, 2.0, 0.5], np.float32)[:channels]
    return torch.from_numpy(0.5 + 0.45 * np.sin(across + down + when + tint))


def tone(seconds: float, rate: int, channels: int) -> dict[str, Any]:
    wave = 0.5 * np.sin(np.arange(round(seconds * rate)) * (2 * np.pi * 440 / rate))
    return {
        "waveform": torch.from_numpy(wave.astype(np.float32))[None, None].repeat(1, channels, 1),
        "sample_rate": rate,
    }


def psnr_db(one: Any, other: Any) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(one) - np.asarray(other)) ** 2)))


RATES = [
    Fraction(r) for r in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60", "12.5")
]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 40),
    width=st.integers(16, 120).map(lambda n: n * 2),
    height=st.integers(16, 100).map(lambda n: n * 2),
    rate=st.sampled_from(RATES),
    speed=st.floats(0, 3),
)
def test_frames_come_back_in_number_rate_and_likeness(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    width: int,
    height: int,
    rate: Fraction,
    speed: float,
) -> None:
    path = tmp_path_factory.mktemp("round") / "trip.mp4"
    frames = moving(count, width, height, speed=speed)
    encode_frames(Frames(frames, rate), path)
    back = decode_clip(path)
    assert back.frames.shape == frames.shape
    assert back.frames.dtype == torch.float32
    assert back.fps == rate
    assert back.audio is None
    assert psnr_db(back.frames, frames) >= 35


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 2), (3, 2), (4, 2), (6, 6), (8, 2)])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 37800])
def test_sound_of_any_form_comes_back(channels: int, kept: int, rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode_frames(Frames(moving(30, 64, 48), Fraction(25), tone(1.2, rate, channels)), path)
    back = decode_clip(path)
    assert back.audio is not None
    wave, rate_hz = back.audio["waveform"], back.audio["sample_rate"]
    assert wave.dtype == torch.float32
    assert wave.shape[:2] == (1, kept)
    assert wave.shape[2] / rate_hz == pytest.approx(1.2, abs=0.13 if rate == 8000 else 0.03)
    middle = wave[0, 0, rate_hz // 4 : rate_hz]
    crossings = int((torch.diff(torch.signbit(middle).int()) != 0).sum()) / (len(middle) / rate_hz)
    assert crossings == pytest.approx(880, rel=0.03)


def test_ffprobe_sees_a_plain_mp4(clips: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode_frames(Frames(moving(30, 65, 49), Fraction(30000, 1001), tone(1, 48000, 2)), path)
    probe = clips.measure(path)
    assert (probe.width_px, probe.height_px, probe.frame_count) == (64, 48, 30)
    assert probe.frame_rate == Fraction(30000, 1001)
    assert probe.video["start_time"] == probe.audio["start_time"] == "0.000000"
    assert probe.video["color_space"] == probe.video["color_transfer"] == "bt709"
    assert probe.video["color_range"] == "tv"
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_frames_are_encoded(channels: int, tmp_path: Path) -> None:
    frames = moving(5, 64, 48, channels)
    encode_frames(Frames(frames, Fraction(25)), tmp_path / "a.mp4")
    back = decode_clip(tmp_path / "a.mp4").frames
    if channels == 1:
        assert psnr_db(back, frames.repeat(1, 1, 1, 3)) > 35
    else:
        alpha = frames[..., 3:]
        assert psnr_db(back, frames[..., :3] * alpha + 1 - alpha) > 32


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "numpy"])
def test_other_number_types_are_encoded(kind: str, tmp_path: Path) -> None:
    frames = moving(3, 64, 48)
    other = frames.numpy() if kind == "numpy" else frames.to(getattr(torch, kind))
    encode_frames(Frames(other, Fraction(25)), tmp_path / "a.mp4")
    assert psnr_db(decode_clip(tmp_path / "a.mp4").frames, frames) > 35


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (8, 8, 3), (2, 8, 8, 2), (2, 1, 8, 3)])
def test_frames_of_a_wrong_shape_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        encode_frames(Frames(torch.zeros(shape), Fraction(25)), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_decoding_equals_the_plain_loop(real_clips: Path) -> None:
    import av  # noqa: PLC0415

    back = decode_clip(real_clips / "bigbuckbunny.mp4", count=60)
    with av.open(str(real_clips / "bigbuckbunny.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 20 == 0 and number < 60:
                # the file names no matrix: from 720 lines on players take BT.709, FFmpeg's default is BT.601
                plain = frame.reformat(format="gbrpf32le", src_colorspace="ITU709").to_ndarray()
                difference = np.abs(back.frames[number].numpy() - plain) * 255
                assert difference.max() <= 2
                assert difference.mean() < 0.5


def test_a_part_is_the_same_as_that_part_of_all(real_clips: Path) -> None:
    path = real_clips / "bigbuckbunny.mp4"
    whole = decode_clip(path, longest_side_px=160)
    assert whole.frames.shape == (132, 90, 160, 3)
    assert whole.audio is not None
    part = decode_clip(path, start_seconds=2, count=10, every_nth=3, longest_side_px=160)
    assert part.fps == Fraction(25, 3)
    assert torch.equal(part.frames, whole.frames[50:80:3])
    assert part.audio is not None
    assert part.audio["waveform"].shape[-1] == pytest.approx(48000 * 30 / 25, abs=1)
    heard = whole.audio["waveform"][..., 96000 : 96000 + part.audio["waveform"].shape[-1]]
    assert float((heard - part.audio["waveform"]).abs().max()) < 0.02


def test_a_start_after_the_end_is_said(real_clips: Path) -> None:
    with pytest.raises(UnreadableMedia, match="no frame after 99 s"):
        decode_clip(real_clips / "bigbuckbunny.mp4", start_seconds=99)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_is_decoded_upright(degrees: int, clips: Any) -> None:
    plain = clips.chart("chart_plain_444.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "5")
    path = clips.make(
        f"chart_turned_{degrees}.mov", "-i", str(plain), "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}"
    )
    shown = clips.frame(path)
    back = decode_clip(path, count=1).frames[0].numpy()
    assert back.shape == shown.shape
    assert np.median(np.abs(back * 255 - shown)) <= 2


def test_too_little_memory_is_said_before_anything_is_allocated(
    real_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = real_clips / "bigbuckbunny.mp4"
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 1_000_000_000)
    monkeypatch.setattr(decoding.np, "empty", None)
    with pytest.raises(NotEnoughMemory, match=r"132 frames of 1280 x 720 px need 1\.5 GB.*1\.0 GB are free"):
        decode_clip(path)
    facts = probe_clip(path)
    assert select_frames(facts).memory_bytes == 132 * 1280 * 720 * 12
    assert (
        select_frames(facts, start_seconds=2, count=10, longest_side_px=640).memory_bytes
        == 10 * 640 * 360 * 12
    )


@pytest.fixture
def gap_in_the_sound(tmp_path: Path) -> Path:
    """One second of picture; the second packet of its sound says that it belongs ten hours later."""
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = output.add_stream("pcm_s16le", rate=48000)
        sound.layout = "mono"
        for _ in range(25):
            output.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), "yuv420p")))
        output.mux(video.encode(None))
        for at_seconds in (0, 36_000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), at_seconds * 48000
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("decode", [decode_clip, decode_sound])
def test_ten_hours_of_silence_are_counted_before_they_are_allocated(
    decode: Callable[..., object], gap_in_the_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 1_000_000_000)
    with pytest.raises(NotEnoughMemory, match=r"need 13\.8 GB of memory; 1\.0 GB are free"):
        decode(gap_in_the_sound)


def test_a_silence_of_hours_may_be_stopped(gap_in_the_sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: None)
    answers = iter([False] * 50)
    with pytest.raises(MediaStopped):
        decode_sound(gap_in_the_sound, stop=lambda: next(answers, True))


def test_free_memory_is_known_here() -> None:
    free = memory.free_memory_bytes()
    assert free is None or free > 50_000_000


def test_stopping_is_quick_and_leaves_nothing(real_clips: Path, tmp_path: Path) -> None:
    frames = Frames(moving(120, 640, 480), Fraction(25))
    for work in (
        lambda stop: encode_frames(frames, tmp_path / "a.mp4", stop=stop),
        lambda stop: decode_clip(real_clips / "bigbuckbunny.mp4", stop=stop),
    ):
        watch, asked = Stopwatch(), count()

        def stop(watch: Stopwatch = watch, asked: count[int] = asked) -> bool:
            times = next(asked)
            if times == ASKED_BEFORE:
                watch.restart()
            return times >= ASKED_BEFORE

        with pytest.raises(MediaStopped):
            work(stop)
        assert watch.seconds() < 0.5
        assert list(tmp_path.iterdir()) == []


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    encode_frames(
        Frames(moving(6, 64, 48), Fraction(25)),
        tmp_path / "a.mp4",
        on_progress=lambda a, b: told.append((a, b)),
    )
    decode_clip(tmp_path / "a.mp4", on_progress=lambda a, b: told.append((a, b)))
    assert told == [(n, 6) for n in range(1, 7)] * 2


def test_frames_are_conformed(clips: Any, tmp_path: Path, image_bounds: ClipBounds) -> None:
    frames = Frames(moving(100, 400, 200), Fraction(25), tone(4, 44100, 2))
    made = conform_clip(frames, tmp_path, image_bounds, mode=ConformMode.AUTO)
    probe = clips.measure(made.path)
    assert (probe.width_px, probe.height_px, probe.frame_count) == (680, 340, 100)
    assert made.violations == ()
    assert not made.is_original
    assert made.report == (
        "Encoded 100 of 100 frames at 25 fps as H.264 MP4.",
        "Scaled from 400 x 200 to 680 x 340 px.",
    )
    assert list(tmp_path.iterdir()) == [made.path]


def test_frames_get_bars_where_nothing_else_fits(
    clips: Any, tmp_path: Path, image_bounds: ClipBounds
) -> None:
    made = conform_clip(
        Frames(moving(80, 2600, 180), Fraction(25)), tmp_path, image_bounds, mode=ConformMode.AUTO
    )
    assert clips.measure(made.path).height_px == 340
    assert list(tmp_path.iterdir()) == [made.path]


def test_frames_keep_to_the_duration(clips: Any, tmp_path: Path, image_bounds: ClipBounds) -> None:
    frames = Frames(moving(330, 360, 360), Fraction(30), tone(11, 48000, 1))
    refused = conform_clip(frames, tmp_path, image_bounds, mode=ConformMode.AUTO)
    assert [v.rule for v in refused.violations] == ["video.duration.max"]
    assert list(tmp_path.iterdir()) == []
    made = conform_clip(frames, tmp_path, image_bounds, mode=ConformMode.TRIM)
    assert clips.measure(made.path).duration_seconds <= 10
    part = conform_clip(frames, tmp_path, image_bounds, mode=ConformMode.OFF, window=TrimWindow(1, 4))
    assert clips.measure(part.path).frame_count == 120
    assert part.used_range == (1.0, 5.0)
