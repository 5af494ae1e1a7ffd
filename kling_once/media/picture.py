"""One still picture: its file, what it is, and its pixels as 8-bit RGB."""

from __future__ import annotations

import io
import re
import threading
import warnings
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image, UnidentifiedImageError

from ..errors import MediaError, UnreadableMedia
from ..files import CHUNK_BYTES
from .picture_file import DAMAGED, ORIENTATION_TAG, PNG_SIGNATURE, PictureFile
from .profile import Conversion, conversion_of
from .source import check_stop, open_unchanging, require_file
from .types import PictureFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .types import Stop


PictureSource: TypeAlias = Path | PictureFile | bytes | Any
"""A file, its bytes, or a picture as (H, W, C) or (1, H, W, C) float32 in 0..1, tensor or array."""

ON_WHITE = "Transparency laid on white."
BATCH_AXES = 4
_PICTURE_AXES = 3
_RGBA_CHANNELS = 4
_ROWS = 16  # handled at a time, so that they stay in the processor's cache
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap the sides
_AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, k=-1),
}
"""By EXIF orientation, a view of upright pixels that has the order of the stored ones (EXIF 2.32, 4.6.4)."""
_UNREAD_FORMATS = {
    rb"....ftyp(hei[cxms]|hev[cmsx]|mif1|msf1)": (
        "HEIC (HEIF)",
        "Export it as JPEG or PNG, on a Mac with Preview, or install pillow-heif in this Python.",
    ),
    rb"....ftypavi[fs]": ("AVIF", "Export it as JPEG or PNG, or install Pillow 11.3 or newer."),
    rb"8BPS": ("PSD (Photoshop)", "Export it as PNG."),
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg": (
        "SVG",
        "It is a drawing without pixels: export it as PNG, 1024 px a side or more.",
    ),
    rb"\xff\x0a|\0\0\0\x0cJXL ": ("JPEG XL", "Export it as JPEG or PNG."),
    rb"v/1\x01": ("OpenEXR", "Export it as PNG."),
    rb"%PDF": ("PDF", "Export the page as PNG."),
}
_BAND_PIXELS = 1 << 20
_HEAD_BYTES = 512
_SIXTEEN_BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_PNG_HEAD_BYTES = 25  # signature, length, "IHDR", width, height, bit depth (PNG specification, 11.2.2)
_OPENING = threading.Lock()


def is_file(source: PictureSource) -> bool:
    """Tell whether `source` is a path or a file's bytes rather than a tensor."""
    return isinstance(source, Path | str | PictureFile | bytes | bytearray | memoryview)


def read_picture(source: PictureSource, *, stop: Stop | None = None) -> PictureFile:
    """Read a picture file into memory, opened once, without its private parts.

    One that is no picture is not read to its end.

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
        return PictureFile.of("The picture", bytes(source))
    path = Path(source)
    require_file(path, "picture", "Choose a JPEG or PNG file.")
    with _translated(path.name), open_unchanging(path) as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        if not head.startswith(PNG_SIGNATURE):  # of a PNG, Pillow gets a part only
            with _translated(path.name, head):
                _identified(file, stop)
            file.seek(0)
        pieces = []
        while piece := file.read(CHUNK_BYTES):
            check_stop(stop)
            pieces.append(piece)
        return PictureFile.of(path.name, b"".join(pieces))


@contextmanager
def open_picture(source: PictureSource, stop: Stop | None = None) -> Iterator[Image.Image]:
    """Open a picture file with its first frame decoded; Pillow's errors in the block are translated.

    Raises:
        UnreadableMedia: No picture, a damaged one, or one of more than 178 million pixels.
        InputChanged: The file was written while it was read.
    """
    picture = read_picture(source, stop=stop)
    with (
        _translated(picture.name, picture.data[:_HEAD_BYTES]),
        _identified(io.BytesIO(picture.pixel_data), stop) as image,
    ):
        image.load()
        for name, value in (("icc_profile", picture.profile), ("cicp", picture.cicp)):
            if value is not None:
                image.info[name] = value
        yield image


def probe_picture(source: PictureSource, *, stop: Stop | None = None) -> PictureFacts:
    """Measure a picture file; all of its first frame is decoded, so that damage shows.

    Raises:
        UnreadableMedia: Anything but an intact picture.
        InputChanged: The file was written while it was read.
    """
    picture = read_picture(source, stop=stop)
    with open_picture(picture, stop) as image:
        orientation = _orientation(image)
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
    """Return (H, W, 3) uint8: upright, sRGB, 8-bit, transparency laid on white.

    A PNG without transparency and profile and the tensor that ComfyUI loads from it give the same array.

    Raises:
        UnreadableMedia: No picture, a damaged one, or a tensor of a wrong shape.
        InputChanged: The file was written while it was read.
    """
    if not is_file(source):
        return to_8_bit(_one_picture(source))
    picture = read_picture(source, stop=stop)
    with open_picture(picture, stop) as image:
        return rgb_of(picture, image, conversion_of(image), stop)


def rgb_of(
    picture: PictureFile, image: Image.Image, conversion: Conversion | None, stop: Stop | None = None
) -> np.ndarray:
    """Return (H, W, 3) uint8 of an opened picture's first frame, band by band, so that nothing is held twice.

    Args:
        picture: The file.
        image: The same, opened.
        conversion: To sRGB; None where it is sRGB.
        stop: Asked before each band.
    """
    deep = _sixteen_bits(picture) if conversion is not None and conversion.is_coarse else None
    orientation = _orientation(image)
    width_px, height_px = image.size
    sides = (width_px, height_px) if orientation in _TURNED else (height_px, width_px)
    pixels = np.empty((*sides, 3), np.uint8)
    stored = _AS_STORED[orientation](pixels)
    rows = max(1, _BAND_PIXELS // width_px)
    for top in range(0, height_px, rows):
        check_stop(stop)
        if deep is not None and conversion is not None:
            band = deep[top : top + rows]
            color = conversion.applied_deep(band[..., :3])
            stored[top : top + rows] = _on_white(np.dstack([color, (band[..., 3] >> 8).astype(np.uint8)]))
        else:
            band = image.crop((0, top, width_px, min(height_px, top + rows)))
            stored[top : top + rows] = _rgb_band(band, conversion)
    return pixels


def _sixteen_bits(picture: PictureFile) -> np.ndarray | None:
    """Return (H, W, 4) uint16 of a PNG or TIFF of more than 8 bits a channel, of which Pillow reads 8."""
    if not picture.data.startswith((PNG_SIGNATURE, b"II*\0", b"MM\0*")):
        return None
    try:
        with av.open(io.BytesIO(picture.data), "r") as container:
            frame = next(container.decode(video=0))
            if max(part.bits for part in frame.format.components) <= 8:  # noqa: PLR2004
                return None
            return frame.to_ndarray(format="rgba64le")
    except (FFmpegError, StopIteration):
        return None


def _rgb_band(band: Image.Image, conversion: Conversion | None) -> np.ndarray:
    alpha = None
    if band.mode in _SIXTEEN_BIT_MODES:
        wide = np.asarray(band).astype(np.float32)
        if isinstance(key := band.info.get("transparency"), int):
            alpha = np.where(wide == key, 0, 255).astype(np.uint8)
        # Pillow's own conversion clips instead of scaling
        band = Image.fromarray(np.clip(wide * (255 / 65535) + 0.5, 0, 255).astype(np.uint8))
    elif band.has_transparency_data:
        band = band.convert("RGBA")
        alpha = np.asarray(band.getchannel("A"))
    color = band if band.mode == "RGB" else None
    if conversion is not None:
        color = conversion.applied(band)
    pixels = np.asarray(color or band.convert("RGB"))
    return pixels if alpha is None else _on_white(np.dstack([pixels, alpha]))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 is upright."""
    found = image.getexif().get(ORIENTATION_TAG)
    return found if isinstance(found, int) and found in range(1, 9) else 1


def has_holes(values: Any) -> bool:
    """Tell whether a tensor or array has an alpha channel that is not opaque everywhere."""
    shape = tuple(getattr(values, "shape", ()))
    if not shape or shape[-1] != _RGBA_CHANNELS:
        return False
    array = as_array(values)
    return bool(array[..., 3].min(initial=255) < (255 if array.dtype == np.uint8 else 1))


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

    Floats are in 0..1; uint8 is taken as it is.

    Raises:
        UnreadableMedia: A value is NaN or infinite.
    """
    if picture.dtype != np.uint8:
        picture = _rounded(picture)
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    return _on_white(picture) if picture.shape[2] == _RGBA_CHANNELS else picture


def require_tensor(values: Any, what: str, way_out: str) -> None:
    """Do nothing for a tensor or array of floats or of bytes.

    Raises:
        UnreadableMedia: Anything else, such as a list; `what` and `way_out` are for its message.
    """
    if not hasattr(values, "shape"):
        raise UnreadableMedia(f"{what} is a tensor; a {type(values).__name__} came.", hint=way_out)
    kind = str(getattr(values, "dtype", "float32")).removeprefix("torch.")
    if not kind.startswith(("float", "bfloat")) and kind != "uint8":
        raise UnreadableMedia(f"{what} has values from 0 to 1; values of the type {kind} came.", hint=way_out)


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
def _translated(name: str, head: bytes = b"") -> Iterator[None]:
    """Translate Pillow's errors inside the block; `head` is the file's beginning, which names its format."""
    try:
        yield
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise UnreadableMedia(f"{name} does not exist.", hint="Choose the file again.") from error
    except UnidentifiedImageError as error:
        raise _unidentified(name, head) from error
    except Image.DecompressionBombError as error:
        raise UnreadableMedia(
            f"{name} has more than 178 million pixels.", hint="Make it smaller; 4096 px a side is plenty."
        ) from error
    except DAMAGED as error:
        raise UnreadableMedia(
            f"{name} is damaged or cut off.", hint="Open it in an image editor and save it again."
        ) from error


def _unidentified(name: str, head: bytes) -> UnreadableMedia:
    """Return the error for a file that Pillow does not know, which names the usual formats that it lacks."""
    found = next((known for start, known in _UNREAD_FORMATS.items() if re.match(start, head)), None)
    if found is None:
        return UnreadableMedia(f"{name} is not a picture that can be read.", hint="Use a JPEG or PNG file.")
    known, way_out = found
    return UnreadableMedia(f"{name} is a picture of the format {known}, which cannot be read.", hint=way_out)


def _identified(file: BinaryIO, stop: Stop | None) -> Image.Image:
    # Pillow warns from 89 million pixels on and refuses from 178 million; a 12000 x 9000 scan is no bomb.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(cast("BinaryIO", StoppableFile(file, stop)))
        except UnidentifiedImageError:
            if "HEIF" in Image.OPEN or find_spec("pillow_heif") is None:
                raise
            import_module("pillow_heif").register_heif_opener()  # where somebody installed it
            file.seek(0)
            return Image.open(cast("BinaryIO", StoppableFile(file, stop)))


def _bit_depth(data: bytes, mode: str) -> int:
    """Return the bits per channel; Pillow shows 16-bit colour as 8-bit, a PNG's header does not."""
    if data.startswith(b"\x89PNG") and len(data) >= _PNG_HEAD_BYTES:
        return data[_PNG_HEAD_BYTES - 1]
    return 1 if mode == "1" else 16 if mode.startswith("I") else 8


def _one_picture(values: Any) -> np.ndarray:
    """Return a picture as (H, W, C), also out of a batch of one."""
    require_tensor(values, "A picture", "Wire an IMAGE output.")
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
            hint="Wire an IMAGE output; make one of a mask with the node Convert Mask to Image.",
        )
    return array


def _rounded(picture: np.ndarray) -> np.ndarray:
    """Return uint8 of floats in 0..1."""
    pixels = np.empty(picture.shape, np.uint8)
    scratch = np.empty((min(_ROWS, len(picture)), *picture.shape[1:]), np.float32)
    for top in range(0, len(picture), _ROWS):
        rows = picture[top : top + _ROWS]
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.multiply(rows, np.float32(255), out=scratch[: len(rows)])
            is_finite = np.isfinite(scaled.sum())
        if not is_finite:
            raise UnreadableMedia(
                "A picture holds values that are no numbers (NaN or infinite).",
                hint="Look at the node that makes it: often its model ran out of the range of its numbers.",
            )
        scaled += np.float32(0.5)
        np.clip(scaled, np.float32(0), np.float32(255), out=scaled)
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
