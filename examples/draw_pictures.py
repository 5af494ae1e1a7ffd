# ruff: noqa: INP001 - a folder of scripts is no package
"""Draw the templates' pictures: the demonstration's inputs and what the sandbox makes of them.

    python examples/draw_pictures.py

Writes example_workflows/*.jpg. Everything in them is the project's own, and the results say SANDBOX.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kling_once.client import Client
from kling_once.order import MotionControl, Order, VideoFile

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "example_workflows"
DEMO = ROOT / "kling_once" / "demo"
SIZE = (960, 600)
DARK, LIGHT, BLUE, GREEN = "#1c1e22", "#e8eaed", "#3b78e7", "#2f9e53"


def main() -> None:
    """Draw them all."""
    character = Image.open(DEMO / "character.png").convert("RGB")
    other = ImageOps.invert(character)
    moves = frames(DEMO / "motion.mp4", 5)
    with tempfile.TemporaryDirectory() as folder:
        one, two = (
            frames(result(picture, Path(folder) / name), 5)
            for picture, name in ((character, "one"), (other, "two"))
        )
    cards = {
        "1 motion control": lambda: told([character, moves[2]], one[2:3], ""),
        "2 from frames with sound": lambda: told([character, *moves[1:4]], one[2:3], "frames, fps, sound"),
        "3 check before you pay": lambda: report(character, moves[2]),
        "4 two characters in parallel": lambda: told([character, other, moves[2]], [one[2], two[2]], ""),
        "5 fetch an earlier task": lambda: told([], one[1:4], "task 850447216997775057"),
        "6 upscale the result": lambda: told(one[2:3], [one[2]], "x 1.25"),
    }
    for name, draw in cards.items():
        draw().save(TEMPLATES / f"{name}.jpg", quality=84)


def result(picture: Image.Image, home: Path) -> Path:
    """Return a video of the sandbox."""
    home.mkdir()
    picture.save(home / "picture.png")
    order = Order(image=home / "picture.png", video=VideoFile(DEMO / "motion.mp4"), motion=MotionControl())
    with Client(home=home) as client:
        return client.run(order).result().path.rename(home.with_suffix(".mp4"))


def frames(path: Path, count: int) -> list[Image.Image]:
    """Return frames at equal distances."""
    with av.open(str(path)) as clip:
        found = [frame.to_image() for frame in clip.decode(video=0)]
    return [found[len(found) * (2 * place + 1) // (2 * count)] for place in range(count)]


def told(given: list[Image.Image], made: list[Image.Image], text: str) -> Image.Image:
    """Return a card: what goes in at the left, what comes out at the right."""
    card = Image.new("RGB", SIZE, DARK)
    left = 400 if given else 0
    row(card, given, (30, 170, left - 40, 260), BLUE)
    row(
        card,
        made,
        (left + 60, 40 if len(made) == 1 else 110, 870 - left, 520 if len(made) == 1 else 380),
        GREEN,
    )
    pen = ImageDraw.Draw(card)
    if given:
        pen.polygon([(left - 2, 280), (left + 38, 300), (left - 2, 320)], fill=LIGHT)
    pen.text((30, 540), text, fill=LIGHT, font=font(26))
    return card


def report(character: Image.Image, move: Image.Image) -> Image.Image:
    """Return a card with what a check tells."""
    card = Image.new("RGB", SIZE, DARK)
    row(card, [character, move], (30, 170, 360, 260), BLUE)
    pen = ImageDraw.Draw(card)
    pen.rounded_rectangle((440, 120, 930, 480), 14, fill="#2a2d33", outline=GREEN, width=3)
    lines = ["Ready to send.", "", "up to 4.8 units (0.672 USD)", "4.00 s on Kling", "", "Nothing was spent."]
    for place, line in enumerate(lines):
        pen.text((470, 150 + 50 * place), line, fill=LIGHT, font=font(30 if place else 36))
    return card


def row(card: Image.Image, pictures: list[Image.Image], box: tuple[int, int, int, int], edge: str) -> None:
    """Put pictures beside each other into a box of left, top, width and height."""
    left, top, width, height = box
    each = (width - 12 * (len(pictures) - 1)) // len(pictures) if pictures else 0
    for place, picture in enumerate(pictures):
        small = ImageOps.contain(picture, (each, height))
        x = left + place * (each + 12) + (each - small.width) // 2
        y = top + (height - small.height) // 2
        card.paste(small, (x, y))
        ImageDraw.Draw(card).rectangle(
            (x - 2, y - 2, x + small.width + 1, y + small.height + 1), outline=edge, width=3
        )


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font."""
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
