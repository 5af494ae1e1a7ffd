"""Make the video that a task would have given: the reference image and motion in it, and "SANDBOX" on it."""

from __future__ import annotations

import math
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av

from .backdrop import draw_backdrop
from .motion import Motion
from .planar import BT709, LIMITED_RANGE
from .sound import Sound
from .stopping import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
