"""The still part of a sandbox result: the reference image, the words, and room for the motion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from .probe import DECODED_MAX_PX, open_picture

if TYPE_CHECKING:
    import numpy.typing as npt

    from .render import Recipe

    Plane = npt.NDArray[np.uint8]


INK: Final = (255, 255, 255)
BAND: Final = (160, 20, 60)
AREA_PX: Final = {"std": 1280 * 720, "pro": 1920 * 1080}
QUICK_AREA_PX: Final = 320 * 180
WIDEST: Final = 2.5


@dataclass(frozen=True)
class Stage:
    """Where the motion may be shown: even pixels."""

    left: int
    top: int
    width: int
    height: int


class Backdrop:
    """A yuv420p picture into which small yuv420p pictures are pasted, one at a time."""

    def __init__(self, rgb: npt.NDArray[np.uint8], stage: Stage) -> None:
        self.height, self.width = rgb.shape[:2]
        self.stage = stage
        self._clean = to_yuv(av.VideoFrame.from_ndarray(rgb, "rgb24"), self.width, self.height)
        self._canvas = self._clean.copy()
        self._planes = planes(self._canvas, self.width, self.height)

    def with_inset(self, inset: npt.NDArray[np.uint8] | None, sway: float) -> npt.NDArray[np.uint8]:
        """Paste `inset` (rows of a yuv420p picture) at `sway` between left and right.

        The array that is returned is used again for the next picture.
        """
        np.copyto(self._canvas, self._clean)
        if inset is None:
            return self._canvas
        height, width = inset.shape[0] * 2 // 3, inset.shape[1]
        left = self.stage.left + int((self.stage.width - width) * sway) // 2 * 2
        top = self.stage.top + (self.stage.height - height) // 2 * 2
        for plane, piece, half in zip(self._planes, planes(inset, width, height), (1, 2, 2), strict=True):
            rows, columns = piece.shape
            plane[top // half : top // half + rows, left // half : left // half + columns] = piece
        return self._canvas


def output_size(picture_width: int, picture_height: int, mode: str, *, quick: bool) -> tuple[int, int]:
    """Choose a size in multiples of 16: the picture's shape, the area of 720p (std) or 1080p (pro).

    Results measured by users have exactly these: 1072x1936 and 1088x1904 for pro.
    """
    area = QUICK_AREA_PX if quick else AREA_PX[mode]
    ratio = min(max(picture_width / picture_height, 1 / WIDEST), WIDEST)
    width = math.sqrt(area * ratio)
    return max(16, round(width / 16) * 16), max(16, round(width / ratio / 16) * 16)


def draw_backdrop(recipe: Recipe) -> Backdrop:
    """Draw the reference image in the result's size with the words on it."""
    picture = _reference(recipe)
    width, height = picture.size
    band = max(24, height // 9) // 2 * 2
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, band), fill=BAND)
    _write(draw, "SANDBOX", (0, 0, width, band * 6 // 10))
    _write(draw, f"task {recipe.task_id}", (0, band * 6 // 10, width, band))
    foot = band // 2 * 2
    if recipe.watermark:
        draw.rectangle((width // 2, height - foot, width, height), fill=(20, 20, 20))
        _write(draw, "SANDBOX WATERMARK", (width // 2, height - foot, width, height))
    margin = max(4, width // 40) // 2 * 2
    stage = Stage(margin, band + margin, width - 2 * margin, (height - band - foot - 2 * margin) // 2 * 2)
    return Backdrop(np.asarray(picture), stage)


def _reference(recipe: Recipe) -> Image.Image:
    source = open_picture(recipe.picture)
    with source:
        width, height = source.size
        turned = source.getexif().get(0x0112, 1) in {5, 6, 7, 8}
        shape = (height, width) if turned else (width, height)
        size = output_size(*shape, recipe.mode, quick=recipe.quick)
        if width * height > DECODED_MAX_PX:
            return Image.new("RGB", size, (90, 90, 90))
        source.draft("RGB", (2 * max(size), 2 * max(size)))
        picture = ImageOps.exif_transpose(source)
        if picture.mode.startswith("I") or picture.mode == "F":
            picture = picture.point(lambda value: value / 256).convert("L")
        if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
            layer = picture.convert("RGBA")
            picture = Image.new("RGBA", layer.size, (255, 255, 255, 255))
            picture.alpha_composite(layer)
        return ImageOps.fit(picture.convert("RGB"), size)


def _write(draw: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int]) -> None:
    """Write a text as large as its box allows, centred."""
    left, top, right, bottom = box
    size = max(8, int((bottom - top) * 0.8))
    font: Any = ImageFont.load_default(size)
    wide = draw.textlength(text, font=font)
    if wide > (right - left) * 0.94:
        font = ImageFont.load_default(max(6, int(size * (right - left) * 0.94 / wide)))
    draw.text(((left + right) / 2, (top + bottom) / 2), text, fill=INK, font=font, anchor="mm")


BT709: Final = 1
"""FFmpeg's number for BT.709 primaries, transfer and matrix."""

LIMITED_RANGE: Final = 1
"""FFmpeg's number for 16..235."""


def to_yuv(frame: Any, width: int, height: int) -> Plane:
    """Scale and convert a frame; `width` even and `height` a multiple of 4."""
    return frame.reformat(
        width, height, "yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED_RANGE
    ).to_ndarray()


def planes(rows: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """View luma and the two chroma planes of packed rows; both sides even."""
    flat = rows.reshape(-1)
    luma, chroma = width * height, width * height // 4
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )


def turned(rows: Plane, width: int, height: int, quarter_turns: int) -> Plane:
    """Turn packed rows against the clock by quarter turns."""
    parts = [np.rot90(plane, quarter_turns).reshape(-1) for plane in planes(rows, width, height)]
    return np.concatenate(parts).reshape(-1, height if quarter_turns % 2 else width)
