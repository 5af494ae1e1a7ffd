"""One still picture as 8-bit RGB, whatever file or tensor it comes from."""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import UnreadableMedia
from .pixels import flatten_alpha, frame_array, to_8_bit

if TYPE_CHECKING:
    from collections.abc import Iterator

PictureSource: TypeAlias = Path | bytes | Any
"""A file, its bytes, or a picture as (H, W, C) or (1, H, W, C) float32 in 0..1, tensor or array."""

ORIENTATION_TAG = 0x0112
_SIXTEEN_BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_OPENING = threading.Lock()


def is_file(source: PictureSource) -> bool:
    """Whether `source` is a path or a file's bytes rather than a tensor."""
    return isinstance(source, Path | str | bytes | bytearray | memoryview)


def file_bytes(source: PictureSource) -> bytes:
    """Return the bytes of a picture file. Raises `UnreadableMedia`."""
    if not isinstance(source, Path | str):
        return bytes(source)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise UnreadableMedia(
            f"{Path(source).name} cannot be opened.", hint="Choose the file again."
        ) from error


def name_of(source: PictureSource) -> str:
    """Return what to call the source in a message."""
    return Path(source).name if isinstance(source, Path | str) else "The picture"


@contextmanager
def open_picture(source: PictureSource) -> Iterator[Image.Image]:
    """Open a picture file with its first frame decoded; Pillow's errors become `UnreadableMedia`."""
    name = name_of(source)
    try:
        image = _open(source)
        with image:
            image.load()
            yield image
    except FileNotFoundError as error:
        raise UnreadableMedia(f"{name} does not exist.", hint="Choose the file again.") from error
    except UnidentifiedImageError as error:
        raise UnreadableMedia(
            f"{name} is not a picture that can be read.", hint="Use a JPEG or PNG file."
        ) from error
    except Image.DecompressionBombError as error:
        raise UnreadableMedia(
            f"{name} has more than 178 million pixels.", hint="Make it smaller; 4096 px a side is plenty."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableMedia(
            f"{name} is damaged or cut off.", hint="Open it in an image editor and save it again."
        ) from error


def rgb_pixels(source: PictureSource) -> np.ndarray:
    """Return (H, W, 3) uint8: upright, 8-bit, transparency laid on white.

    A PNG without transparency and the tensor that ComfyUI loads from it give the same array.
    Raises `UnreadableMedia`.
    """
    if not is_file(source):
        return to_8_bit(frame_array(source))
    with open_picture(source) as image:
        return rgb_of(image)


def rgb_of(image: Image.Image) -> np.ndarray:
    """Return (H, W, 3) uint8 of an opened picture's first frame: upright, transparency laid on white."""
    if image.mode in _SIXTEEN_BIT_MODES:
        image = _eight_bit_grey(image)
    upright = ImageOps.exif_transpose(image) or image
    if upright.has_transparency_data:
        return flatten_alpha(np.asarray(upright.convert("RGBA")))
    return np.array(upright.convert("RGB"))


def _open(source: PictureSource) -> Image.Image:
    data = source if isinstance(source, Path | str) else io.BytesIO(bytes(source))
    # Pillow warns from 89 million pixels on and refuses from 178 million; a 12000 x 9000 scan is no bomb.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(data)


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion clips instead."""
    wide = np.asarray(image).astype(np.float32)
    grey = Image.fromarray(np.clip(wide * (255 / 65535) + 0.5, 0, 255).astype(np.uint8))
    grey.info.update(image.info)
    orientation = image.getexif().get(ORIENTATION_TAG)
    if orientation:
        grey.getexif()[ORIENTATION_TAG] = orientation
    return grey
