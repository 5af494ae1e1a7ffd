"""A long dance drawn in numbers: when it rests, when it claps, and what is heard and seen of the claps."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.frame import VideoFrame

from kling_once.media.encode import writing_clip
from kling_once.media.sound import SoundFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WIDTH_PX, HEIGHT_PX = 352, 480
RATE_HZ = 44100
CLAP_SECONDS = 0.01


def long_dance(
    path: Path,
    seconds: float,
    *,
    fps: Fraction | int = 25,
    rests: Sequence[float] = (),
    cuts: Sequence[float] = (),
    claps: Sequence[float] = (),
    has_sound: bool = True,
) -> Path:
    """Draw a clip in which something always moves, but for 0.8 s around each of `rests`.

    At each clap, on a frame, the left lower corner is white for one frame and a click is heard.
    """
    rate = Fraction(fps)
    form = SoundFormat.for_aac(RATE_HZ, 1) if has_sound else None
    phase = 0.0
    with writing_clip(path, size_px=(WIDTH_PX, HEIGHT_PX), rate=rate, sound=form) as writer:
        for number in range(round(seconds * rate)):
            at = float(number / rate)
            if all(abs(at - rest) > 0.4 for rest in rests):
                phase += 0.12
            scene = sum(at >= cut for cut in cuts)
            is_clap = any(abs(at - clap) < 0.5 / float(rate) for clap in claps)
            writer.picture(_picture(phase, scene, is_clap=is_clap))
        if has_sound:
            writer.sound(_clicks(seconds, claps))
    return path


def _picture(phase: float, scene: int, *, is_clap: bool) -> VideoFrame:
    luma = _background(scene).copy()
    for limb in range(3):
        x = int(WIDTH_PX / 2 + 90 * np.sin(phase + limb * 2.1))
        y = int(HEIGHT_PX / 2 + 120 * np.cos(phase * 0.7 + limb))
        luma[y - 40 : y + 40, x - 25 : x + 25] = 200 - 70 * limb
    luma[-48:, :48] = 235 if is_clap else 16
    chroma = np.full((HEIGHT_PX // 2, WIDTH_PX), 128, np.uint8)
    return VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")


@cache
def _background(scene: int) -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    waves = np.sin(columns / (9 + 14 * scene)) * np.sin(rows / (31 - 9 * (scene % 3)))
    return (96 + 60 * waves).astype(np.uint8)


def _clicks(seconds: float, claps: Sequence[float]) -> np.ndarray:
    samples = np.zeros((1, round(seconds * RATE_HZ)), np.float32)
    tone = 0.8 * np.sin(np.arange(round(CLAP_SECONDS * RATE_HZ)) * 2 * np.pi * 3000 / RATE_HZ)
    for clap in claps:
        first = round(clap * RATE_HZ)
        part = samples[0, first : first + len(tone)]
        part += tone[: len(part)].astype(np.float32)
    return samples


def claps_seen(path: Path) -> list[float]:
    """Return when the corner of a clip turns white, in seconds after its first frame."""
    found, before, first = [], False, None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            is_white = frame.to_ndarray(format="gray")[-24:, 8:24].mean() > 128
            if is_white and not before:
                found.append(frame.time - first)
            before = is_white
    return found


def claps_heard(path: Path) -> list[float]:
    """Return when clicks begin, in seconds after the first frame, going by time stamps."""
    found: list[float] = []
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time or 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray()).reshape(-1, frame.samples).max(0) > 0.25
            for sample in np.flatnonzero(loud):
                at = (frame.time or 0.0) + sample / frame.sample_rate - first
                if not found or at - found[-1] > 0.2:
                    found.append(at)
    return found
