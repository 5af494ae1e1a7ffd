# ruff: noqa: INP001 - a folder of scripts is no package
"""Draw the inputs of `kling-once demo` and of the examples, so that the repository holds no foreign ones.

    python examples/draw_demo.py

writes kling_once/demo/character.png, motion.mp4 and long_motion.mp4.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw

from kling_once.demo import CHARACTER, LONG_MOTION, MOTION

FPS = 25
SECONDS = 4
RATE = 44_100
WIDTH, HEIGHT = 480, 640
LONG_FPS, LONG_SECONDS, LONG_RATE = 15, 75, 16_000
LONG_WIDTH, LONG_HEIGHT = 360, 480
PHRASE_SECONDS, REST_SECONDS = 8, 0.8
"""The long dance rests at the end of each phrase."""
SCALE = 2
"""Pictures are drawn this much larger and reduced, for smooth edges."""

Point = tuple[float, float]


def limb(draw: ImageDraw.ImageDraw, start: Point, end: Point, width: float, color: str) -> None:
    """Draw a line with round ends."""
    draw.line([start, end], fill=color, width=round(width))
    for x, y in (start, end):
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=color)


def dancer(draw: ImageDraw.ImageDraw, beat: float, skin: str, shirt: str, legs: str) -> None:
    """Draw a person at a moment of the dance, counted in beats."""
    unit = HEIGHT * SCALE / 100
    sway = 4 * math.sin(math.pi * beat)
    bounce = 1.5 * abs(math.sin(math.pi * beat))
    middle = WIDTH * SCALE / 2 + sway * unit

    def at(x: float, y: float) -> Point:
        return middle + x * unit, (y - bounce) * unit

    lift = 14 * math.sin(math.pi * beat)
    kick = 5 * math.sin(math.pi * beat)
    for side in (-1, 1):
        hip, knee, foot = at(side * 4, 58), at(side * 6 + kick, 73), at(side * 7 - sway / 2, 90 + bounce)
        limb(draw, hip, knee, 5.5 * unit, legs)
        limb(draw, knee, foot, 4.5 * unit, legs)
        limb(draw, foot, (foot[0] + side * 4 * unit, foot[1] + unit), 4 * unit, "#2b2b33")
        shoulder = at(side * 8.5, 32)
        elbow = at(side * 15, 40 - side * lift * 0.6)
        raised = max(side * lift, side * lift * 0.15)
        hand = at(side * (17 + abs(lift) / 5), 49 - raised * 2)
        limb(draw, shoulder, elbow, 4.2 * unit, shirt)
        limb(draw, elbow, hand, 3.4 * unit, skin)
        limb(draw, hand, hand, 4.6 * unit, skin)
    draw.rounded_rectangle([*at(-9, 28), *at(9, 60)], radius=6 * unit, fill=shirt)
    limb(draw, at(0, 24), at(0, 29), 5 * unit, skin)
    head = at(sway / 3, 16)
    draw.ellipse(
        [head[0] - 7.5 * unit, head[1] - 9 * unit, head[0] + 7.5 * unit, head[1] + 9 * unit], fill=skin
    )
    draw.chord(
        [head[0] - 8 * unit, head[1] - 10 * unit, head[0] + 8 * unit, head[1] + 6 * unit],
        180,
        360,
        fill="#3a2418",
    )
    for side in (-1, 1):
        x, y = head[0] + side * 2.8 * unit, head[1] + 0.8 * unit
        draw.ellipse([x - unit, y - unit, x + unit, y + unit], fill="#1d1d22")
    draw.arc(
        [head[0] - 3 * unit, head[1], head[0] + 3 * unit, head[1] + 5.5 * unit],
        20,
        160,
        fill="#7a2f2a",
        width=round(0.9 * unit),
    )


def scene(beat: float, background: tuple[str, str], clothes: tuple[str, str, str]) -> Image.Image:
    """Return one picture: a person on a floor before a wall."""
    wall, floor = background
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), wall)
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, HEIGHT * SCALE * 0.84, WIDTH * SCALE, HEIGHT * SCALE], fill=floor)
    dancer(draw, beat, *clothes)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def tune(seconds: int, rate: int) -> np.ndarray:
    """Return a melody over a drum beat as float32 samples of shape (1, samples)."""
    time = np.arange(seconds * rate) / rate
    notes = (262, 330, 392, 523, 440, 392, 330, 294)
    index = (time * 2).astype(int) % len(notes)
    since = time % 0.5
    melody = np.sin(2 * np.pi * np.take(notes, index) * time) * np.exp(-5 * since)
    drum = np.sin(2 * np.pi * 70 * since) * np.exp(-18 * since)
    return (0.22 * melody + 0.4 * drum).astype(np.float32)[None, :]


CLOTHES = ("#d9a066", "#4d7298", "#3b4a5a")
BACKGROUND = ("#e8e4dc", "#c9c1b4")


def motion() -> None:
    """Write the reference video: four seconds of a dance at two beats a second, with sound."""
    with av.open(str(MOTION), "w", options={"movflags": "+faststart"}) as file:
        video = file.add_stream("libx264", rate=FPS, options={"crf": "26", "preset": "slow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = file.add_stream("aac", rate=RATE, layout="mono")
        sound.bit_rate = 64_000
        for number in range(FPS * SECONDS):
            image = scene(number / FPS * 2, BACKGROUND, CLOTHES)
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        mux_sound(file, sound, tune(SECONDS, RATE), RATE)


def long_motion() -> None:
    """Write the long reference video: 75 seconds, small, with a short rest every eight seconds."""
    with av.open(str(LONG_MOTION), "w", options={"movflags": "+faststart"}) as file:
        options = {"crf": "34", "preset": "veryslow", "tune": "animation"}
        video = file.add_stream("libx264", rate=LONG_FPS, options=options)
        video.width, video.height, video.pix_fmt = LONG_WIDTH, LONG_HEIGHT, "yuv420p"
        sound = file.add_stream("aac", rate=LONG_RATE, layout="mono")
        sound.bit_rate = 16_000
        for number in range(LONG_FPS * LONG_SECONDS):
            phrase, within = divmod(number / LONG_FPS, PHRASE_SECONDS)
            danced = phrase * PHRASE_SECONDS + min(within, PHRASE_SECONDS - REST_SECONDS)
            image = scene(danced * 1.5, BACKGROUND, CLOTHES).resize((LONG_WIDTH, LONG_HEIGHT))
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = number, Fraction(1, LONG_FPS)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        mux_sound(file, sound, tune(LONG_SECONDS, LONG_RATE), LONG_RATE)


def mux_sound(file: Any, sound: Any, wave: np.ndarray, rate: int) -> None:
    """Encode float32 samples of shape (1, samples)."""
    for start in range(0, wave.shape[1], 1024):
        block = av.AudioFrame.from_ndarray(wave[:, start : start + 1024], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
        file.mux(sound.encode(block))
    file.mux(sound.encode(None))


def character() -> None:
    """Write the reference image."""
    scene(0, ("#f3d9a4", "#b5838d"), ("#e0ac7e", "#9d4edd", "#22577a")).save(CHARACTER, optimize=True)


if __name__ == "__main__":
    character()
    motion()
    long_motion()
