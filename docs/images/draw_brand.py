"""Draw the icon and the banner that the Comfy Registry shows: `python docs/images/draw_brand.py`.

Nothing in them is random and nothing is taken from elsewhere; the letters are those that Pillow brings along.
"""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
FINE = 4
"""Everything is drawn so many times larger, and made smaller at the end."""
TOP, BOTTOM = (22, 20, 52), (74, 32, 110)
GLOW = (255, 92, 138)
FIGURE = (255, 244, 232)
RING = (255, 196, 92)
GHOSTS = [(120, 96, 255), (196, 84, 224), (255, 92, 138)]

Point = tuple[float, float]
POSES: list[dict[str, Point]] = [
    {
        "head": (0.02, -0.62), "neck": (0.0, -0.42), "hip": (0.0, 0.08),
        "elbow_l": (-0.24, -0.24), "hand_l": (-0.38, -0.02), "elbow_r": (0.24, -0.24), "hand_r": (0.36, 0.0),
        "knee_l": (-0.12, 0.42), "foot_l": (-0.16, 0.8), "knee_r": (0.12, 0.42), "foot_r": (0.16, 0.8),
    },
    {
        "head": (0.06, -0.64), "neck": (0.03, -0.43), "hip": (-0.02, 0.06),
        "elbow_l": (-0.25, -0.38), "hand_l": (-0.46, -0.26),
        "elbow_r": (0.28, -0.44), "hand_r": (0.46, -0.24),
        "knee_l": (-0.2, 0.38), "foot_l": (-0.3, 0.76), "knee_r": (0.2, 0.34), "foot_r": (0.3, 0.7),
    },
    {
        "head": (0.1, -0.66), "neck": (0.06, -0.45), "hip": (-0.04, 0.04),
        "elbow_l": (-0.24, -0.54), "hand_l": (-0.46, -0.66),
        "elbow_r": (0.32, -0.58), "hand_r": (0.54, -0.74),
        "knee_l": (-0.26, 0.36), "foot_l": (-0.44, 0.72), "knee_r": (0.28, 0.22), "foot_r": (0.5, 0.48),
    },
]  # fmt: skip
"""A figure that begins to dance: places around the middle of its body, in halves of the drawing's height."""
LIMBS = [
    ("neck", "hip", 0.08),
    ("neck", "elbow_l", 0.05), ("elbow_l", "hand_l", 0.05),
    ("neck", "elbow_r", 0.05), ("elbow_r", "hand_r", 0.05),
    ("hip", "knee_l", 0.065), ("knee_l", "foot_l", 0.065),
    ("hip", "knee_r", 0.065), ("knee_r", "foot_r", 0.065),
]  # fmt: skip
"""From where to where, and half the thickness."""


def backdrop(width: int, height: int, glow: Point) -> Image.Image:
    """Return dusk from one corner to the other, with a light behind the figure."""
    ramp = Image.linear_gradient("L").rotate(90).resize((width, height))
    ramp = Image.blend(ramp, Image.linear_gradient("L").resize((width, height)), 0.5)
    picture = Image.composite(
        Image.new("RGB", (width, height), BOTTOM), Image.new("RGB", (width, height), TOP), ramp
    )
    light = Image.new("L", (width, height), 0)
    radius = height * 0.36
    box = (glow[0] - radius, glow[1] - radius, glow[0] + radius, glow[1] + radius)
    ImageDraw.Draw(light).ellipse(box, fill=150)
    light = light.filter(ImageFilter.GaussianBlur(height * 0.16))
    return Image.composite(
        Image.new("RGB", picture.size, GLOW), picture, light.point(lambda value: value * 2 // 3)
    )


def paint(picture: Image.Image, color: tuple[int, int, int], alpha: float, mask: Image.Image) -> None:
    """Lay a color over a picture where a mask says so."""
    picture.paste(color, mask=mask.point(lambda value: int(value * alpha)))


def figure(size: tuple[int, int], pose: dict[str, Point], middle: Point, scale: float) -> Image.Image:
    """Return where a figure stands, as a mask."""
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    places = {name: (middle[0] + x * scale, middle[1] + y * scale) for name, (x, y) in pose.items()}

    def dot(place: Point, radius: float) -> None:
        draw.ellipse((place[0] - radius, place[1] - radius, place[0] + radius, place[1] + radius), fill=255)

    for start, end, thickness in LIMBS:
        draw.line((*places[start], *places[end]), fill=255, width=round(2 * thickness * scale))
        dot(places[start], thickness * scale)
        dot(places[end], thickness * scale)
    dot(places["head"], 0.135 * scale)
    return mask


def ring(size: tuple[int, int], middle: Point, radius: float, width: float) -> Image.Image:
    """Return one turn that ends in an arrow: once around, and no further."""
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
    first, last = -58, 262
    draw.arc(box, first, last, fill=255, width=round(width))
    inner = radius - width / 2
    start = (
        middle[0] + inner * math.cos(math.radians(first)),
        middle[1] + inner * math.sin(math.radians(first)),
    )
    draw.ellipse(
        (start[0] - width / 2, start[1] - width / 2, start[0] + width / 2, start[1] + width / 2), fill=255
    )
    turn = math.radians(last)
    along = turn + math.pi / 2
    tip = (middle[0] + inner * math.cos(turn), middle[1] + inner * math.sin(turn))
    corners = [
        (tip[0] + length * math.cos(along + angle), tip[1] + length * math.sin(along + angle))
        for length, angle in ((2.1 * width, 0.0), (1.5 * width, math.pi / 2), (1.5 * width, -math.pi / 2))
    ]
    draw.polygon(corners, fill=255)
    return mask


def emblem(picture: Image.Image, middle: Point, radius: float) -> None:
    """Draw the dancer with the three moments before, inside of one turn."""
    paint(picture, RING, 1.0, ring(picture.size, middle, radius, radius * 0.095))
    scale = radius * 0.82
    center = (middle[0] + radius * 0.1, middle[1] + radius * 0.02)
    for step, (pose, color) in enumerate(zip(POSES, GHOSTS, strict=True)):
        place = (center[0] - radius * 0.17 * (len(POSES) - step), center[1])
        paint(picture, color, 0.38 + 0.12 * step, figure(picture.size, pose, place, scale))
    shadow = figure(picture.size, POSES[-1], (center[0], center[1] + radius * 0.03), scale)
    paint(picture, TOP, 0.5, shadow.filter(ImageFilter.GaussianBlur(radius * 0.04)))
    paint(picture, FIGURE, 1.0, figure(picture.size, POSES[-1], center, scale))


def icon(side: int = 400) -> Image.Image:
    """Return the square picture."""
    large = side * FINE
    picture = backdrop(large, large, (large * 0.5, large * 0.5))
    emblem(picture, (large / 2, large / 2), large * 0.41)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def banner(width: int = 1680, height: int = 720) -> Image.Image:
    """Return the picture of 21:9."""
    wide, high = width * FINE // 2, height * FINE // 2
    picture = backdrop(wide, high, (wide * 0.24, high * 0.5))
    emblem(picture, (wide * 0.24, high * 0.5), high * 0.38)
    draw = ImageDraw.Draw(picture)
    left = wide * 0.445
    draw.text((left, high * 0.42), "Kling Once", FIGURE, ImageFont.load_default(high * 0.2), anchor="ls")
    small = ImageFont.load_default(high * 0.058)
    lines = ["Motion control with your own Kling account.", "Never pay twice. Never lose a paid result."]
    for number, line in enumerate(lines):
        draw.text(
            (left + high * 0.01, high * (0.56 + 0.105 * number)), line, (226, 214, 240), small, anchor="ls"
        )
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def main() -> None:
    """Draw both."""
    for name, picture in (("icon", icon()), ("banner", banner())):
        picture.quantize(192, dither=Image.Dither.FLOYDSTEINBERG).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
