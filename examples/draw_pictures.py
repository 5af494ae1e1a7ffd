# ruff: noqa: INP001 - a folder of scripts is no package
"""Draw the templates' pictures: the demonstration's inputs and what the sandbox makes of them.

    python examples/draw_pictures.py

Writes example_workflows/*.jpg. Everything in them is the project's own, and the results say SANDBOX.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kling_once.api.limits import Orientation
from kling_once.client import Client
from kling_once.jobs.violations import clip_bounds
from kling_once.media.split import split_clip
from kling_once.media.types import TrimWindow
from kling_once.order import MotionControl, Order, VideoFile

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "example_workflows"
DEMO = ROOT / "kling_once" / "demo"
SIZE = (960, 600)
DARK, LIGHT, BLUE, GREEN = "#1c1e22", "#e8eaed", "#3b78e7", "#2f9e53"


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Drawn.of(Path(folder))
    for name, card in CARDS.items():
        card(drawn).save(TEMPLATES / f"{name}.jpg", quality=84)


@dataclass(frozen=True)
class Drawn:
    """The pictures that cards are made of."""

    character: Image.Image
    other: Image.Image
    moves: list[Image.Image]
    """Five frames of the short clip."""
    dance: list[Image.Image]
    """Three of the long one, each from another part."""
    one: list[Image.Image]
    """What the sandbox makes of character and short clip."""
    two: list[Image.Image]
    """The same of the other character."""
    parts: list[Image.Image]
    """A frame of the result of each part of the long clip."""

    @classmethod
    def of(cls, folder: Path) -> Drawn:
        """Have the sandbox make all results in a folder."""
        character = Image.open(DEMO / "character.png").convert("RGB")
        other = ImageOps.invert(character)
        clip, long_clip = DEMO / "motion.mp4", DEMO / "long_motion.mp4"
        parts = split_clip(long_clip, clip_bounds(Orientation.VIDEO)).parts
        windows = [TrimWindow(float(part.start_seconds), float(part.seconds)) for part in parts]
        return cls(
            character=character,
            other=other,
            moves=frames(clip, 5),
            dance=frames(long_clip, len(parts)),
            one=frames(result(character, VideoFile(clip), folder / "one"), 5),
            two=frames(result(other, VideoFile(clip), folder / "two"), 5),
            parts=[
                frames(result(character, VideoFile(long_clip, window), folder / f"part{number}"), 1)[0]
                for number, window in enumerate(windows)
            ],
        )


def result(picture: Image.Image, clip: VideoFile, home: Path) -> Path:
    """Return a video of the sandbox."""
    home.mkdir()
    picture.save(home / "picture.png")
    order = Order(image=home / "picture.png", video=clip, motion=MotionControl())
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


def app(picture: Image.Image, move: Image.Image, made: Image.Image) -> Image.Image:
    """Return a card with the result at the left, and what the app asks for at the right."""
    card = Image.new("RGB", SIZE, DARK)
    row(card, [made], (30, 40, 500, 520), GREEN)
    pen = ImageDraw.Draw(card)
    pen.rounded_rectangle((560, 40, 930, 560), 14, fill="#2a2d33")
    row(card, [picture, move], (590, 80, 310, 250), BLUE)
    pen.rounded_rectangle((590, 370, 900, 430), 8, outline=LIGHT)
    pen.text((610, 383), "prompt", fill="#9aa0a6", font=font(26))
    pen.rounded_rectangle((590, 470, 900, 530), 8, fill=BLUE)
    pen.text((745, 500), "Run", fill="white", font=font(30), anchor="mm")
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


CARDS: dict[str, Callable[[Drawn], Image.Image]] = {
    "1 motion control": lambda drawn: told([drawn.character, drawn.moves[2]], drawn.one[2:3], ""),
    "2 from frames with sound": lambda drawn: told(
        [drawn.character, *drawn.moves[1:4]], drawn.one[2:3], "frames, fps, sound"
    ),
    "3 check before you pay": lambda drawn: report(drawn.character, drawn.moves[2]),
    "4 two characters in parallel": lambda drawn: told(
        [drawn.character, drawn.other, drawn.moves[2]], [drawn.one[2], drawn.two[2]], ""
    ),
    "5 fetch an earlier task": lambda drawn: told([], drawn.one[1:4], "task 850447216997775057"),
    "6 upscale the result": lambda drawn: told(drawn.one[2:3], [drawn.one[2]], "x 1.25"),
    "7 long dance": lambda drawn: told(
        [drawn.character, *drawn.dance], drawn.parts, "75 s: three tasks, one video"
    ),
    "8 a character that stays the same": lambda drawn: told(
        [drawn.character, drawn.other, drawn.moves[2]], drawn.one[2:3], "element Mia"
    ),
    "9 as an app": lambda drawn: app(drawn.character, drawn.moves[2], drawn.one[2]),
}
"""By the template's name."""


if __name__ == "__main__":
    main()
