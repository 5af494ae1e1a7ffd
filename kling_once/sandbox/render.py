"""Make the video that a task would have given: the reference image and motion in it, and "SANDBOX" on it."""

from __future__ import annotations

import math
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Self

import av
import av.error
import numpy as np

from .backdrop import (
    BT709,
    LIMITED_RANGE,
    draw_backdrop,
    to_yuv,
    turned,
)
from .files import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from .backdrop import Stage


FRAMES_PER_SECOND: Final = 30
QUICK_STEP: Final = 3
SWAY_SECONDS: Final = 4.0


@dataclass(frozen=True)
class Recipe:
    """What to make: `frames` counts at 30 fps; `quick` makes it small, with every third frame only."""

    task_id: str
    picture: Path
    clip: Path
    frames: int
    mode: str
    sound: bool
    watermark: bool
    quick: bool


def render(recipe: Recipe, target: Path, is_stopped: Callable[[], bool]) -> None:
    """Write the video under its final name; blocking. `Stopped` when it is told so meanwhile.

    H.264 yuv420p tagged BT.709, AAC where there is sound, the index in front, exactly `frames` / 30 s.
    """
    part = target.with_name(f"{secrets.token_hex(8)}.part")
    try:
        with ExitStack() as open_files:
            options = {"movflags": "+faststart"}
            output = open_files.enter_context(av.open(str(part), "w", format="mp4", options=options))
            source = open_files.enter_context(av.open(str(recipe.clip)))
            _write(recipe, output, source, open_files, is_stopped)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(
    recipe: Recipe, output: Any, source: Any, open_files: ExitStack, is_stopped: Callable[[], bool]
) -> None:
    backdrop = draw_backdrop(recipe)
    height, width = backdrop.height, backdrop.width
    step = QUICK_STEP if recipe.quick else 1
    video = _add_video(output, width, height, Fraction(FRAMES_PER_SECOND, step))
    sound = None
    if recipe.sound:
        seconds = Fraction(recipe.frames, FRAMES_PER_SECOND)
        own_source = open_files.enter_context(av.open(str(recipe.clip)))
        sound = Sound.of(own_source, output, seconds)
    motion = Motion(source, backdrop.stage)
    for number in range(0, recipe.frames, step):
        if is_stopped():
            raise Stopped
        moment = number / FRAMES_PER_SECOND
        motion.advance(moment)
        frame = av.VideoFrame.from_ndarray(backdrop.with_inset(motion.inset, _sway(moment)), "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        _tag(frame)
        for packet in video.encode(frame):
            _mux(output, packet, recipe.frames, step)
        if sound is not None:
            sound.write_until(moment)
    for packet in video.encode(None):
        _mux(output, packet, recipe.frames, step)
    if sound is not None:
        sound.finish()


def _add_video(output: Any, width: int, height: int, rate: Fraction) -> Any:
    stream = output.add_stream("libx264", rate=rate)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, FRAMES_PER_SECOND)
    stream.codec_context.max_b_frames = 0
    stream.codec_context.gop_size = 60
    stream.codec_context.thread_count = 1
    stream.options = {"preset": "ultrafast", "crf": "24"}
    _tag(stream.codec_context)
    return stream


def _tag(thing: Any) -> None:
    thing.color_range = LIMITED_RANGE
    thing.colorspace = thing.color_primaries = thing.color_trc = BT709


def _mux(output: Any, packet: Any, frames: int, step: int) -> None:
    """Write a packet with its true length: the last one ends where the video ends."""
    moment = int(packet.pts * packet.time_base * FRAMES_PER_SECOND)
    length = Fraction(min(step, frames - moment), FRAMES_PER_SECOND)
    packet.duration = int(length / packet.time_base)
    output.mux(packet)


def _sway(moment: float) -> float:
    """Tell where between left (0) and right (1) the motion is shown: there and back in four seconds."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * moment / SWAY_SECONDS)


SHARE: Final = 0.55


class Motion:
    """Walk through the clip; `inset` is the picture shown at the moment last asked for.

    A clip that ends early or cannot be read on keeps its last picture. Memory holds two pictures.
    """

    def __init__(self, container: Any, stage: Stage) -> None:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        self._stage = stage
        self._frames = _decode(container, stream)
        self._ahead: Any = next(self._frames, None)
        self._start = 0.0 if self._ahead is None else self._ahead.time or 0.0
        self.inset: npt.NDArray[np.uint8] | None = None

    def advance(self, moment: float) -> None:
        """Show the last picture that begins at or before `moment` seconds."""
        shown = None
        while self._ahead is not None and (self._ahead.time or 0.0) - self._start <= moment + 1e-6:
            shown, self._ahead = self._ahead, next(self._frames, None)
        if shown is not None:
            self.inset = self._small(shown)

    def _small(self, frame: Any) -> npt.NDArray[np.uint8]:
        turns = round((frame.rotation or 0) / 90) % 4
        width, height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
        scale = min(self._stage.width * SHARE / width, self._stage.height * SHARE / height)
        width, height = max(2, int(width * scale) // 4 * 4), max(2, int(height * scale) // 4 * 4)
        if turns % 2:
            width, height = height, width
        small = to_yuv(frame, width, height)
        return turned(small, width, height, turns) if turns else small


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError:
        return


RATES: Final = (44100, 48000)


class Sound:
    """Decode, cut and encode the sound little by little, beside the pictures."""

    def __init__(self, source: Any, output: Any, seconds: Fraction) -> None:
        track = source.streams.audio[0]
        rate = track.rate if track.rate in RATES else 48000
        self._rate = rate
        self._output = output
        self._stream = output.add_stream("aac", rate=rate, layout="stereo")
        self._stream.bit_rate = 128_000
        self._samples_left = int(seconds * rate)
        self._samples_written = 0
        self._pieces = _pieces(source, track, rate)

    @classmethod
    def of(cls, source: Any, output: Any, seconds: Fraction) -> Self | None:
        """Prepare the sound of a clip; None when it has none."""
        return cls(source, output, seconds) if source.streams.audio else None

    def write_until(self, moment: float) -> None:
        """Write sound until `moment` seconds of the result are covered, or the clip has no more."""
        while self._samples_left > 0 and self._samples_written < moment * self._rate:
            piece = next(self._pieces, None)
            if piece is None:
                self._samples_left = 0
                return
            self._write(piece[:, : self._samples_left])

    def finish(self) -> None:
        """Write what is left."""
        self.write_until(float("inf"))
        for packet in self._stream.encode(None):
            self._output.mux(packet)

    def _write(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._samples_written, Fraction(1, self._rate)
        self._samples_written += samples.shape[1]
        self._samples_left -= samples.shape[1]
        for packet in self._stream.encode(frame):
            self._output.mux(packet)


def _pieces(source: Any, track: Any, rate: int) -> Iterator[np.ndarray]:
    """Decode a track to stereo float pieces; a late start becomes silence, a broken end ends it."""
    resampler = av.AudioResampler("fltp", "stereo", rate)
    started = False
    try:
        for frame in source.decode(track):
            if not started and frame.time and frame.time > 0:
                yield np.zeros((2, int(min(frame.time, 60.0) * rate)), np.float32)
            started = True
            for piece in resampler.resample(frame):
                yield piece.to_ndarray()
        for piece in resampler.resample(None):
            yield piece.to_ndarray()
    except av.error.FFmpegError:
        return
