"""blake3 digests of the inputs that decide a result: part of job key v1, so their values never change."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urldefrag

import numpy as np
from blake3 import blake3

from .encode import checked_shape
from .picture import PictureSource, as_array, rgb_pixels, to_8_bit
from .source import check_stop, copy_file
from .types import Frames, TrimWindow

if TYPE_CHECKING:
    from .types import Stop

_MICROSECONDS = 1_000_000


def picture_digest(source: PictureSource, *, stop: Stop | None = None) -> str:
    """Return the digest of a picture's 8-bit RGB pixels and shape: upright, transparency on white.

    It is the same for a PNG file and for the tensor that ComfyUI loads from it.

    Raises:
        UnreadableMedia: No picture, a damaged one, or a tensor of a wrong shape.
        InputChanged: The file was written while it was read.
    """
    pixels = rgb_pixels(source, stop)
    hasher = blake3(f"picture {pixels.shape}\n".encode())
    hasher.update(np.ascontiguousarray(pixels).data)
    return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class ClipCopy:
    """A private copy of a clip, and what its bytes are."""

    path: Path
    clip_digest: str
    """Of the bytes and of the part that is meant: part of the job key."""
    file_digest: str
    """blake3 of the bytes alone, 64 hexadecimal digits."""
    size_bytes: int


def copy_and_digest(
    source: Path, target: Path, window: TrimWindow | None = None, *, stop: Stop | None = None
) -> ClipCopy:
    """Copy a clip to `target` (new, mode 0600) and digest it in the same pass: the source is opened once.

    The window counts in whole microseconds, so 0.1 and Fraction(1, 10) are the same; a window over everything
    is no window. `target` is removed on failure.

    Raises:
        FileExistsError: `target` exists; it is left as it is.
        UnreadableMedia: The source cannot be opened or read.
        InputChanged: The source was written meanwhile.
        DiskFull: There is no room for the copy.
    """
    window = window or TrimWindow()
    start, duration = (
        round(Fraction(value) * _MICROSECONDS) for value in (window.start_seconds, window.duration_seconds)
    )
    clip_hasher, file_hasher = blake3(f"clip {start} {duration}\n".encode()), blake3()
    size_bytes = copy_file(Path(source), target, clip_hasher, file_hasher, stop=stop)
    return ClipCopy(target, clip_hasher.hexdigest(), file_hasher.hexdigest(), size_bytes)


def frames_digest(frames: Frames, *, stop: Stop | None = None) -> str:
    """Return the digest of 8-bit frames, their exact rate and their sound; each frame is read once.

    Raises:
        UnreadableMedia: The frames cannot be encoded, as `checked_shape` says, or a file cannot be read.
        InputChanged: A frame of a folder was written while it was read.
    """
    count, rate = checked_shape(frames)[0], Fraction(frames.fps)
    hasher = blake3()
    for number in range(count):
        check_stop(stop)
        pixels = np.ascontiguousarray(to_8_bit(as_array(frames.frames[number])))
        if number == 0:
            hasher.update(f"frames {count} {pixels.shape} {rate.numerator}/{rate.denominator}\n".encode())
        hasher.update(pixels.data)
    if frames.audio is not None:
        wave = as_array(frames.audio["waveform"]).astype("<f4")
        hasher.update(f"sound {wave.shape} {int(frames.audio['sample_rate'])}\n".encode())
        hasher.update(wave.tobytes())
    return hasher.hexdigest()


def url_digest(url: str) -> str:
    """Return the digest of a URL's text without its fragment; nothing is fetched."""
    return blake3(f"url {urldefrag(url).url}\n".encode()).hexdigest()
