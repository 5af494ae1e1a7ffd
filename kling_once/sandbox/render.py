"""Rendering of a result: the motion moves over the reference image, with the sound of the clip."""

from __future__ import annotations

import contextlib
import math
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from .backdrop import (
    BT709,
    LIMITED_RANGE,
    draw_backdrop,
    to_yuv,
    turned,
)
from .files import part_in
from .rules import FRAMES_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .backdrop import Area, Rows

QUICK_STEP: Final = 3
SWAY_SECONDS: Final = 4.0
MOTION_SHARE: Final = 0.55
"""Largest share of the area's width and of its height that the motion takes."""

SAMPLE_RATES: Final = (44100, 48000)
LONGEST_SILENCE_SECONDS: Final = 60.0


class Stopped(Exception):
    """Rendering was told to stop; nothing is kept."""


@dataclass(frozen=True)
class Recipe:
    """What to render.

    Attributes:
        picture: the reference image.
        clip: the reference video.
        frames: length of the result at 30 fps.
        mode: `std` or `pro`.
        sound: whether the sound of the clip is kept.
        watermark: whether to render the watermarked copy.
        quick: whether to make it small and with every third frame only.
    """

    task_id: str
    picture: Path
    clip: Path
    frames: int
    mode: str
    sound: bool
    watermark: bool
    quick: bool


def render(recipe: Recipe, target: Path, is_stopped: Callable[[], bool]) -> None:
    """Render a result and rename it to `target` when it is complete; blocking.

    H.264 yuv420p tagged BT.709, AAC where there is sound, the index in front, exactly `frames` / 30 s.

    Args:
        recipe: what to render.
        target: the file; its folder exists.
        is_stopped: asked once a frame.

    Raises:
        Stopped: `is_stopped` returned true.
    """
    with part_in(target.parent) as part:
        with ExitStack() as open_files:
            options = {"movflags": "+faststart"}
            output = open_files.enter_context(av.open(str(part), "w", format="mp4", options=options))
            source = open_files.enter_context(av.open(str(recipe.clip)))
            _write(recipe, output, source, open_files, is_stopped)
        part.replace(target)


def _write(
    recipe: Recipe, output: Any, source: Any, open_files: ExitStack, is_stopped: Callable[[], bool]
) -> None:
    backdrop = draw_backdrop(
        recipe.picture,
        recipe.mode,
        f"task {recipe.task_id}",
        watermark=recipe.watermark,
        quick=recipe.quick,
    )
    step = QUICK_STEP if recipe.quick else 1
    video = _add_video(output, backdrop.width, backdrop.height, Fraction(FRAMES_PER_SECOND, step))
    sound = None
    if recipe.sound:
        # video and sound are read at their own pace, so each needs a container of its own
        own_source = open_files.enter_context(av.open(str(recipe.clip)))
        if own_source.streams.audio:
            sound = Sound(own_source, output, Fraction(recipe.frames, FRAMES_PER_SECOND))
    motion = Motion(source, backdrop.area)
    for number in range(0, recipe.frames, step):
        if is_stopped():
            raise Stopped
        moment = number / FRAMES_PER_SECOND
        motion.advance(moment)
        frame = av.VideoFrame.from_ndarray(backdrop.with_inset(motion.inset, _sway(moment)), "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        _tag(frame)
        _mux(output, video.encode(frame), recipe.frames, step)
        if sound is not None:
            sound.write_until(moment)
    _mux(output, video.encode(None), recipe.frames, step)
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


def _mux(output: Any, packets: list[Any], frames: int, step: int) -> None:
    """Write video packets with their true lengths: the last one ends where the video ends."""
    for packet in packets:
        moment = int(packet.pts * packet.time_base * FRAMES_PER_SECOND)
        length = Fraction(min(step, frames - moment), FRAMES_PER_SECOND)
        packet.duration = int(length / packet.time_base)
        output.mux(packet)


def _sway(moment: float) -> float:
    """Return where the motion is shown at a moment: from left (0) to right (1) and back in four seconds."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * moment / SWAY_SECONDS)


class Motion:
    """Walk through the frames of a clip, with two of them in memory at most.

    Where a clip ends early or is damaged, its last good frame stays.

    Attributes:
        inset: the frame at the moment last asked for, scaled to its share of the area.
    """

    def __init__(self, container: Any, area: Area) -> None:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        self._area = area
        self._scaler = VideoReformatter()
        self._frames = _pictures(container, stream)
        self._ahead: Any = next(self._frames, None)
        self._start = 0.0 if self._ahead is None else self._ahead.time or 0.0
        self.inset: Rows | None = None

    def advance(self, moment: float) -> None:
        """Set `inset` to the last frame that begins at or before `moment`, in seconds."""
        shown = None
        while self._ahead is not None and (self._ahead.time or 0.0) - self._start <= moment + 1e-6:
            shown, self._ahead = self._ahead, next(self._frames, None)
        if shown is not None:
            self.inset = self._small(shown)

    def _small(self, frame: Any) -> Rows:
        turns = round((frame.rotation or 0) / 90) % 4
        width, height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
        scale = min(self._area.width * MOTION_SHARE / width, self._area.height * MOTION_SHARE / height)
        width, height = max(2, int(width * scale) // 4 * 4), max(2, int(height * scale) // 4 * 4)
        if turns % 2:
            width, height = height, width
        small = to_yuv(self._scaler, frame, width, height)
        return turned(small, width, height, turns) if turns else small


def _pictures(container: Any, stream: Any) -> Iterator[Any]:
    """Decode a video track up to its end or the first damage."""
    with contextlib.suppress(av.error.FFmpegError):
        yield from container.decode(stream)


class Sound:
    """Decode, cut and encode the sound of a clip piece by piece, interleaved with the video."""

    def __init__(self, source: Any, output: Any, seconds: Fraction) -> None:
        track = source.streams.audio[0]
        rate = track.rate if track.rate in SAMPLE_RATES else 48000
        self._rate = rate
        self._output = output
        self._stream = output.add_stream("aac", rate=rate, layout="stereo")
        self._stream.bit_rate = 128_000
        self._samples_left = int(seconds * rate)
        self._samples_written = 0
        self._pieces = _pieces(source, track, rate)

    def write_until(self, moment: float) -> None:
        """Write sound until `moment` seconds of the result are covered, or the clip has no more."""
        while self._samples_left > 0 and self._samples_written < moment * self._rate:
            piece = next(self._pieces, None)
            if piece is None:
                self._samples_left = 0
                return
            self._write(piece[:, : self._samples_left])

    def finish(self) -> None:
        """Write the rest and flush the encoder."""
        self.write_until(math.inf)
        self._output.mux(self._stream.encode(None))

    def _write(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._samples_written, Fraction(1, self._rate)
        self._samples_written += samples.shape[1]
        self._samples_left -= samples.shape[1]
        self._output.mux(self._stream.encode(frame))


def _pieces(source: Any, track: Any, rate: int) -> Iterator[np.ndarray]:
    """Decode a sound track up to its end or the first damage, as float pieces of shape (2, samples).

    A track that starts late begins with silence.
    """
    resampler = av.AudioResampler("fltp", "stereo", rate)
    started = False
    with contextlib.suppress(av.error.FFmpegError):
        for frame in source.decode(track):
            if not started and frame.time and frame.time > 0:
                yield np.zeros((2, int(min(frame.time, LONGEST_SILENCE_SECONDS) * rate)), np.float32)
            started = True
            for piece in resampler.resample(frame):
                yield piece.to_ndarray()
        for piece in resampler.resample(None):
            yield piece.to_ndarray()
