"""Some frames of a clip, from a file and from memory."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from kling_once.demo import MOTION
from kling_once.errors import UnreadableMedia
from kling_once.media.decode import decode_clip, pick_frames
from kling_once.media.probe import probe_clip
from kling_once.media.types import Frames, TrimWindow

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.media

RATE_HZ = 1000


def of_file(window: TrimWindow | None = None, **given: Any) -> Frames:
    choice: dict[str, Any] = {"longest_side_px": 64, **given}
    return decode_clip(MOTION, window=window, **choice)


def in_memory(seconds: int = 4, fps: int = 10) -> Frames:
    """Return frames that hold their own number."""
    frames = torch.arange(seconds * fps, dtype=torch.float32)[:, None, None, None].repeat(1, 20, 40, 3)
    sound = torch.arange(seconds * RATE_HZ, dtype=torch.float32)[None, None]
    return Frames(frames, Fraction(fps), {"waveform": sound, "sample_rate": RATE_HZ})


def numbers(frames: Frames) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames.frames]


def test_a_trim_ends_the_frames_before_the_file_does() -> None:
    assert probe_clip(MOTION).frame_rate == 25
    trim = TrimWindow(1, Fraction(2, 5))
    assert len(of_file(trim).frames) == 10
    assert len(of_file(trim, count=3).frames) == 3
    assert len(of_file(trim, count=30).frames) == 10
    assert len(of_file(trim, every_nth=4).frames) == 3
    assert len(of_file(trim, start_seconds=0.2).frames) == 5


def test_a_trim_without_an_end_counts_from_its_start() -> None:
    assert len(of_file().frames) - len(of_file(TrimWindow(1.0)).frames) == 25


def test_a_start_after_the_end_of_the_trim_is_refused() -> None:
    with pytest.raises(UnreadableMedia, match="before the first wanted frame"):
        of_file(TrimWindow(1.0, 0.5), start_seconds=0.5)


def test_frames_in_memory_are_picked_with_their_sound() -> None:
    found = pick_frames(in_memory(), start_seconds=1.0, count=5, every_nth=2)
    assert numbers(found) == [10, 12, 14, 16, 18]
    assert found.fps == 5
    assert found.audio is not None
    assert found.audio["waveform"][0, 0].tolist() == list(range(1000, 2000))


def test_without_a_count_frames_and_sound_go_to_the_end() -> None:
    found = pick_frames(in_memory(), start_seconds=3.75)
    assert numbers(found) == [38, 39]
    assert found.audio is not None
    assert found.audio["waveform"].shape[-1] == 250


def test_larger_frames_are_made_smaller_and_others_stay() -> None:
    assert pick_frames(in_memory(), longest_side_px=10).frames.shape[1:3] == (5, 10)
    assert pick_frames(in_memory(), longest_side_px=0).frames.shape[1:3] == (20, 40)
    assert pick_frames(in_memory(), longest_side_px=64).frames.shape[1:3] == (20, 40)


def test_a_start_after_the_last_frame_in_memory_is_refused() -> None:
    with pytest.raises(UnreadableMedia, match="it has 40 frames"):
        pick_frames(in_memory(), start_seconds=4.0)
