"""One still picture as 8-bit RGB, whatever file or tensor it comes from."""

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
from .container import check_stop
from .pixels import flatten_alpha, frame_array, to_8_bit
from .source import open_unchanging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import Stop


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture file that was read into memory."""

    name: str
    """The file's name, for messages."""
    data: bytes = field(repr=False)


PictureSource: TypeAlias = Path | bytes | PictureFile | Any
"""A file, its bytes, or a picture as (H, W, C) or (1, H, W, C) float32 in 0..1, tensor or array."""

ORIENTATION_TAG = 0x0112
_SIXTEEN_BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_OPENING = threading.Lock()
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    *(LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
)
"""What Pillow's readers of formats and of EXIF raise for malformed files."""


def is_file(source: PictureSource) -> bool:
    """Tell whether `source` is a path or a file's bytes rather than a tensor."""
    return isinstance(source, Path | str | PictureFile | bytes | bytearray | memoryview)


def file_bytes(source: PictureSource) -> bytes:
    """Return the bytes of a picture file. Raises `UnreadableMedia`."""
    if isinstance(source, PictureFile):
        return source.data
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
    if isinstance(source, PictureFile):
        return source.name
    return Path(source).name if isinstance(source, Path | str) else "The picture"


def read_picture(path: Path, *, stop: Stop | None = None) -> PictureFile:
    """Read a picture file into memory, opened once; a file that is no picture is not read to its end.

    Raises:
        UnreadableMedia: The file cannot be opened, or is no picture by its header.
        InputChanged: The file was written meanwhile.
        MediaStopped: `stop` said so.
    """
    with _translated(path.name), open_unchanging(path) as file:
        _identified(file, stop)
        file.seek(0)
        return PictureFile(path.name, cast("BinaryIO", StoppableFile(file, stop)).read())


@contextmanager
def open_picture(source: PictureSource, stop: Stop | None = None) -> Iterator[Image.Image]:
    """Open a picture file with its first frame decoded; Pillow's errors become `UnreadableMedia`.

    Raises `MediaStopped` when `stop` says so.
    """
    with _translated(name_of(source)), _file(source) as file, _identified(file, stop) as image:
        image.load()
        yield image


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


def rgb_pixels(source: PictureSource, stop: Stop | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8: upright, 8-bit, transparency laid on white.

    A PNG without transparency and the tensor that ComfyUI loads from it give the same array.
    Raises `UnreadableMedia`, and `MediaStopped` when `stop` says so.
    """
    if not is_file(source):
        return to_8_bit(frame_array(source))
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
        return flatten_alpha(np.asarray(upright), stop)
    return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))


class StoppableFile:
    """A binary file whose reads and writes raise `MediaStopped` once `stop` says so.

    Pillow reads and writes piece by piece, so this ends its decoding and encoding too.
    """

    def __init__(self, file: BinaryIO, stop: Stop | None) -> None:
        self._file = file
        self._stop = stop

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, all for -1."""
        check_stop(self._stop)
        return self._file.read(size)

    def write(self, data: Any, /) -> int:
        """Write all of `data` and return its length in bytes."""
        check_stop(self._stop)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _file(source: PictureSource) -> BinaryIO:
    if isinstance(source, Path | str):
        return Path(source).open("rb")
    return io.BytesIO(file_bytes(source))


def _identified(file: BinaryIO, stop: Stop | None) -> Image.Image:
    # Pillow warns from 89 million pixels on and refuses from 178 million; a 12000 x 9000 scan is no bomb.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(cast("BinaryIO", StoppableFile(file, stop)))


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion clips instead."""
    wide = np.asarray(image).astype(np.float32)
    grey = Image.fromarray(np.clip(wide * (255 / 65535) + 0.5, 0, 255).astype(np.uint8))
    grey.info.update(image.info)
    orientation = image.getexif().get(ORIENTATION_TAG)
    if orientation:
        grey.getexif()[ORIENTATION_TAG] = orientation
    return grey
