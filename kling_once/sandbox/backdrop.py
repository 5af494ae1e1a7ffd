"""The still part of a result: the reference image, the words on it, the area where the motion is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageDraw, ImageFont, ImageOps

from .references import DECODED_MAX_PX, open_picture

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Rows = npt.NDArray[np.uint8]
    """A packed yuv420p picture of shape (height * 3 / 2, width), as PyAV gives it."""

INK: Final = (255, 255, 255)
BAND: Final = (160, 20, 60)
WATERMARK_BAND: Final = (20, 20, 20)
TOO_LARGE_GRAY: Final = (90, 90, 90)
AREA_PX: Final = {"std": 1280 * 720, "pro": 1920 * 1080}
QUICK_AREA_PX: Final = 320 * 180
WIDEST: Final = 2.5
ORIENTATION_TAG: Final = 0x0112
QUARTER_TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

BT709: Final = 1
"""FFmpeg's number for BT.709 primaries, transfer and matrix."""

LIMITED_RANGE: Final = 1
"""FFmpeg's number for luma 16 to 235."""


@dataclass(frozen=True)
class Area:
    """Where the motion may be shown; all even pixels."""

    left: int
    top: int
    width: int
    height: int


class Backdrop:
    """A yuv420p picture into which one small yuv420p picture is pasted at a time."""

    def __init__(self, rgb: npt.NDArray[np.uint8], area: Area) -> None:
        self.height, self.width = rgb.shape[:2]
        self.area = area
        self._clean = to_yuv(
            VideoReformatter(), av.VideoFrame.from_ndarray(rgb, "rgb24"), self.width, self.height
        )
        self._canvas = self._clean.copy()
        self._planes = planes(self._canvas, self.width, self.height)

    def with_inset(self, inset: Rows | None, sway: float) -> Rows:
        """Return the picture with `inset` in its area, overwritten by the next call.

        Args:
            inset: the small picture; None leaves the backdrop as it is.
            sway: its place between the left end (0) and the right end (1) of the area.
        """
        np.copyto(self._canvas, self._clean)
        if inset is None:
            return self._canvas
        height, width = inset.shape[0] * 2 // 3, inset.shape[1]
        left = self.area.left + int((self.area.width - width) * sway) // 2 * 2
        top = self.area.top + self.area.height - height
        for plane, piece, half in zip(self._planes, planes(inset, width, height), (1, 2, 2), strict=True):
            rows, columns = piece.shape
            plane[top // half : top // half + rows, left // half : left // half + columns] = piece
        return self._canvas


def draw_backdrop(picture: Path, mode: str, title: str, *, watermark: bool, quick: bool) -> Backdrop:
    """Draw the reference image in the result's size with the word SANDBOX and a title at its foot.

    The upper third stays free: a character's head is there.

    Args:
        picture: the reference image.
        mode: `std` or `pro`, which decides the size.
        title: the second line of the band.
        watermark: whether a watermark is drawn as well.
        quick: whether the result is small.
    """
    image = _reference(picture, mode, quick=quick)
    width, height = image.size
    band = max(24, height // 9) // 2 * 2
    draw = ImageDraw.Draw(image)
    foot = height - band
    draw.rectangle((0, foot, width, height), fill=BAND)
    _write(draw, "SANDBOX", (0, foot, width, foot + band * 6 // 10))
    _write(draw, title, (0, foot + band * 6 // 10, width, height))
    if watermark:
        box = (width // 2, foot - band, width, foot)
        draw.rectangle(box, fill=WATERMARK_BAND)
        _write(draw, "SANDBOX WATERMARK", box)
    margin = max(4, width // 40) // 2 * 2
    area = Area(margin, margin, width - 2 * margin, (foot - band - 2 * margin) // 2 * 2)
    return Backdrop(np.asarray(image), area)


def output_size(picture_width: int, picture_height: int, mode: str, *, quick: bool) -> tuple[int, int]:
    """Return the size of a result: the picture's shape at the area of 720p (std) or 1080p (pro).

    Both sides are multiples of 16. Results that users measured have exactly these sizes: 1072x1936 and
    1088x1904 for pro.
    """
    area = QUICK_AREA_PX if quick else AREA_PX[mode]
    ratio = min(max(picture_width / picture_height, 1 / WIDEST), WIDEST)
    width = math.sqrt(area * ratio)
    return max(16, round(width / 16) * 16), max(16, round(width / ratio / 16) * 16)


def _reference(path: Path, mode: str, *, quick: bool) -> Image.Image:
    """Return the reference image upright, on white, cropped to the result's size."""
    with open_picture(path) as source:
        width, height = source.size
        is_turned = source.getexif().get(ORIENTATION_TAG, 1) in QUARTER_TURNED
        shape = (height, width) if is_turned else (width, height)
        size = output_size(*shape, mode, quick=quick)
        if width * height > DECODED_MAX_PX:
            return Image.new("RGB", size, TOO_LARGE_GRAY)
        source.draft("RGB", (2 * max(size), 2 * max(size)))
        image = ImageOps.exif_transpose(source)
        if image.mode.startswith("I") or image.mode == "F":
            image = image.point(lambda value: value / 256).convert("L")
        if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = Image.new("RGBA", layer.size, (255, 255, 255, 255))
            image.alpha_composite(layer)
        return ImageOps.fit(image.convert("RGB"), size)


def _write(draw: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int]) -> None:
    """Write a text centred and as large as its box (left, top, right, bottom) allows."""
    left, top, right, bottom = box
    size = max(8, int((bottom - top) * 0.8))
    font: Any = ImageFont.load_default(size)
    wide = draw.textlength(text, font=font)
    if wide > (right - left) * 0.94:
        font = ImageFont.load_default(max(6, int(size * (right - left) * 0.94 / wide)))
    draw.text(((left + right) / 2, (top + bottom) / 2), text, fill=INK, font=font, anchor="mm")


def to_yuv(scaler: VideoReformatter, frame: Any, width: int, height: int) -> Rows:
    """Scale a frame and convert it to yuv420p; `width` is even and `height` a multiple of 4.

    A scaler that has taken one frame of a clip takes the others in less than half the time.
    """
    scaled: Any = scaler.reformat(
        frame, width, height, "yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED_RANGE
    )
    return scaled.to_ndarray()


def planes(rows: Rows, width: int, height: int) -> tuple[Rows, Rows, Rows]:
    """Return views of the luma plane and the two chroma planes of a packed picture with even sides."""
    flat = rows.reshape(-1)
    luma, chroma = width * height, width * height // 4
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )


def turned(rows: Rows, width: int, height: int, quarter_turns: int) -> Rows:
    """Turn a packed picture counterclockwise by quarter turns."""
    parts = [np.rot90(plane, quarter_turns).reshape(-1) for plane in planes(rows, width, height)]
    return np.concatenate(parts).reshape(-1, height if quarter_turns % 2 else width)
