"""One still picture: its file, what it is, and its pixels as 8-bit RGB."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import MediaError, UnreadableMedia
from .source import PIECE_BYTES, check_stop, open_unchanging, require_file
from .types import PictureFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import Stop


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture file in memory."""

    name: str
    """Of the file, for messages."""
    data: bytes = field(repr=False)


PictureSource: TypeAlias = Path | PictureFile | bytes | Any
"""A file, its bytes, or a picture as (H, W, C) or (1, H, W, C) float32 in 0..1, tensor or array."""

BATCH_AXES = 4
_PICTURE_AXES = 3
_RGBA_CHANNELS = 4
_ROWS = 16  # handled at a time, so that they stay in the processor's cache
_ORIENTATION_TAG = 0x0112  # EXIF 2.32, 4.6.4
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap the sides
_SIXTEEN_BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_PNG_HEAD_BYTES = 25  # signature, length, "IHDR", width, height, bit depth (PNG specification, 11.2.2)
_OPENING = threading.Lock()
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    *(LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
)
"""What Pillow's readers of formats and of EXIF raise for malformed files."""


def is_file(source: PictureSource) -> bool:
    """Tell whether `source` is a path or a file's bytes rather than a tensor."""
    return isinstance(source, Path | str | PictureFile | bytes | bytearray | memoryview)


def read_picture(source: PictureSource, *, stop: Stop | None = None) -> PictureFile:
    """Read a picture file into memory, opened once; one that is no picture is not read to its end.

    Args:
        source: A path, or what is in memory already and returned as it is.
        stop: Asked before each piece of the file.

    Raises:
        UnreadableMedia: The file cannot be opened, or is no picture by its header.
        InputChanged: The file was written meanwhile.
    """
    if isinstance(source, PictureFile):
        return source
    if not isinstance(source, Path | str):
        return PictureFile("The picture", bytes(source))
    path = Path(source)
    require_file(path, "picture", "Choose a JPEG or PNG file.")
    with _translated(path.name), open_unchanging(path) as file:
        _identified(file, stop)
        file.seek(0)
        pieces = []
        while piece := file.read(PIECE_BYTES):
            check_stop(stop)
            pieces.append(piece)
        return PictureFile(path.name, b"".join(pieces))


@contextmanager
def open_picture(source: PictureSource, stop: Stop | None = None) -> Iterator[Image.Image]:
    """Open a picture file with its first frame decoded; Pillow's errors in the block are translated.

    Raises:
        UnreadableMedia: No picture, a damaged one, or one of more than 178 million pixels.
        InputChanged: The file was written while it was read.
    """
    picture = read_picture(source, stop=stop)
    with _translated(picture.name), _identified(io.BytesIO(picture.data), stop) as image:
        image.load()
        yield image


def probe_picture(source: PictureSource, *, stop: Stop | None = None) -> PictureFacts:
    """Measure a picture file; all of its first frame is decoded, so that damage shows.

    Raises:
        UnreadableMedia: Anything but an intact picture.
        InputChanged: The file was written while it was read.
    """
    picture = read_picture(source, stop=stop)
    with open_picture(picture, stop) as image:
        orientation = int(image.getexif().get(_ORIENTATION_TAG) or 1)
        orientation = orientation if orientation in range(1, 9) else 1
        width_px, height_px = reversed(image.size) if orientation in _TURNED else image.size
        mode = str(image.mode)
        return PictureFacts(
            format="JPEG" if image.format == "MPO" else str(image.format),
            width_px=width_px,
            height_px=height_px,
            size_bytes=len(picture.data),
            has_alpha=image.has_transparency_data,
            mode=mode,
            frame_count=1 if image.format == "MPO" else int(getattr(image, "n_frames", 1)),
            exif_orientation=orientation,
            bit_depth=_bit_depth(picture.data, mode),
        )


def rgb_pixels(source: PictureSource, stop: Stop | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8: upright, 8-bit, transparency laid on white.

    A PNG without transparency and the tensor that ComfyUI loads from it give the same array.

    Raises:
        UnreadableMedia: No picture, a damaged one, or a tensor of a wrong shape.
        InputChanged: The file was written while it was read.
    """
    if not is_file(source):
        return to_8_bit(_one_picture(source))
    with open_picture(source, stop) as image:
        return rgb_of(image, stop)


def rgb_of(image: Image.Image, stop: Stop | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8 of an opened picture's first frame: upright, transparency laid on white."""
    check_stop(stop)
    if image.mode in _SIXTEEN_BIT_MODES:
        image = _eight_bit_grey(image)
    upright = ImageOps.exif_transpose(image) or image
    check_stop(stop)
    if upright.has_transparency_data:
        upright = upright if upright.mode == "RGBA" else upright.convert("RGBA")
        return _on_white(np.asarray(upright), stop)
    return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))


def as_array(values: Any) -> np.ndarray:
    """Return a tensor or array as numpy: a view where possible, float16 and bfloat16 as float32."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) in {"torch.bfloat16", "torch.float16"}:
            values = values.float()
        values = values.numpy()
    return np.asarray(values)


def to_8_bit(picture: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 of an (H, W, 1, 3 or 4) picture: clamped, rounded, transparency on white.

    Floats are in 0..1, NaN becomes 0; uint8 is taken as it is.
    """
    if picture.dtype != np.uint8:
        picture = _rounded(picture)
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    return _on_white(picture) if picture.shape[2] == _RGBA_CHANNELS else picture


class StoppableFile:
    """A binary file whose reads and writes raise `MediaStopped` when asked to stop.

    Pillow reads and writes piece by piece, so this ends its decoding and encoding too.
    """

    def __init__(self, file: BinaryIO, stop: Stop | None) -> None:
        self._file = file
        self._stop = stop

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, to the end for -1."""
        check_stop(self._stop)
        return self._file.read(size)

    def write(self, data: Any, /) -> int:
        """Write all of `data` and return its length in bytes."""
        check_stop(self._stop)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except MediaError:
        raise
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
    except _DAMAGED as error:
        raise UnreadableMedia(
            f"{name} is damaged or cut off.", hint="Open it in an image editor and save it again."
        ) from error


def _identified(file: BinaryIO, stop: Stop | None) -> Image.Image:
    # Pillow warns from 89 million pixels on and refuses from 178 million; a 12000 x 9000 scan is no bomb.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(cast("BinaryIO", StoppableFile(file, stop)))


def _bit_depth(data: bytes, mode: str) -> int:
    """Return the bits per channel; Pillow shows 16-bit colour as 8-bit, a PNG's header does not."""
    if data.startswith(b"\x89PNG") and len(data) >= _PNG_HEAD_BYTES:
        return data[_PNG_HEAD_BYTES - 1]
    return 1 if mode == "1" else 16 if mode.startswith("I") else 8


def _one_picture(values: Any) -> np.ndarray:
    """Return a picture as (H, W, C), also out of a batch of one."""
    array = as_array(values)
    if array.ndim == BATCH_AXES:
        if array.shape[0] != 1:
            raise UnreadableMedia(
                f"One reference image is expected, a batch of {array.shape[0]} came.",
                hint="Pick one with the node Get Image from Batch.",
            )
        array = array[0]
    if array.ndim != _PICTURE_AXES or array.shape[2] not in {1, 3, 4} or 0 in array.shape:
        raise UnreadableMedia(
            f"A picture has the shape (height, width, 1, 3 or 4 channels); this one has {array.shape}.",
            hint="Wire an IMAGE output.",
        )
    return array


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion clips instead."""
    wide = np.asarray(image).astype(np.float32)
    grey = Image.fromarray(np.clip(wide * (255 / 65535) + 0.5, 0, 255).astype(np.uint8))
    grey.info.update(image.info)
    orientation = image.getexif().get(_ORIENTATION_TAG)
    if orientation:
        grey.getexif()[_ORIENTATION_TAG] = orientation
    return grey


def _rounded(picture: np.ndarray) -> np.ndarray:
    """Return uint8 of floats in 0..1."""
    pixels = np.empty(picture.shape, np.uint8)
    scratch = np.empty((min(_ROWS, len(picture)), *picture.shape[1:]), np.float32)
    for top in range(0, len(picture), _ROWS):
        rows = picture[top : top + _ROWS]
        scaled = np.multiply(rows, np.float32(255), out=scratch[: len(rows)])
        scaled += np.float32(0.5)
        np.clip(scaled, np.float32(0), np.float32(255), out=scaled)
        if np.isnan(scaled.max()):
            np.nan_to_num(scaled, copy=False)
        np.copyto(pixels[top : top + _ROWS], scaled, casting="unsafe")
    return pixels


def _on_white(picture: np.ndarray, stop: Stop | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8 of (H, W, 4) uint8 with straight alpha, laid on white."""
    if picture[..., 3].min() == 255:  # noqa: PLR2004 - opaque
        return np.ascontiguousarray(picture[..., :3])
    flat = np.empty((*picture.shape[:2], 3), np.uint8)
    for top in range(0, len(picture), _ROWS):
        check_stop(stop)
        rows = picture[top : top + _ROWS]
        alpha, color = rows[..., 3:].astype(np.uint16), rows[..., :3].astype(np.uint16)
        flat[top : top + _ROWS] = (color * alpha + 255 * (255 - alpha) + 127) // 255
    return flat
