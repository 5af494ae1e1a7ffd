"""blake3 over what decides a result, read as a stream (job key v1; golden keys never change)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urldefrag

import numpy as np
from blake3 import blake3

from .container import check_stop, unreadable
from .picture import PictureSource, rgb_pixels
from .pixels import as_array, to_8_bit
from .types import Frames, TrimWindow

if TYPE_CHECKING:
    from .types import Stop

_CHUNK_BYTES = 1 << 22
_MICROSECONDS = 1_000_000


def picture_digest(source: PictureSource, *, stop: Stop | None = None) -> str:
    """Return the digest of a picture's 8-bit RGB pixels and shape: upright, transparency on white.

    The same for a PNG file and for the tensor that ComfyUI loads from it. Raises `UnreadableMedia`, and
    `MediaStopped` when `stop` says so.
    """
    pixels = rgb_pixels(source, stop)
    hasher = blake3(f"picture {pixels.shape}\n".encode())
    hasher.update(np.ascontiguousarray(pixels).data)
    return hasher.hexdigest()


def clip_digest(path: Path, window: TrimWindow | None = None, *, stop: Stop | None = None) -> str:
    """Return the digest of a clip's file bytes and of the part of it that is meant.

    The window counts in whole microseconds, so 0.1 and Fraction(1, 10) are the same; a window over
    everything is no window. Raises `UnreadableMedia`, and `MediaStopped` when `stop` says so.
    """
    window = window or TrimWindow()
    start, duration = (
        round(Fraction(value) * _MICROSECONDS) for value in (window.start_seconds, window.duration_seconds)
    )
    hasher = blake3(f"clip {start} {duration}\n".encode())
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                check_stop(stop)
                hasher.update(chunk)
    except OSError as error:
        raise unreadable(error, Path(path)) from error
    return hasher.hexdigest()


def frames_digest(frames: Frames, *, stop: Stop | None = None) -> str:
    """Return the digest of 8-bit frames, their exact rate and their sound.

    Raises `MediaStopped` when `stop` says so.
    """
    first = to_8_bit(as_array(frames.frames[0]))
    rate = Fraction(frames.fps)
    count = len(frames.frames)
    hasher = blake3(f"frames {count} {first.shape} {rate.numerator}/{rate.denominator}\n".encode())
    for number in range(count):
        check_stop(stop)
        pixels = to_8_bit(as_array(frames.frames[number]))
        hasher.update(np.ascontiguousarray(pixels).data)
    if frames.audio is not None:
        wave = as_array(frames.audio["waveform"]).astype("<f4")
        hasher.update(f"sound {wave.shape} {int(frames.audio['sample_rate'])}\n".encode())
        hasher.update(wave.tobytes())
    return hasher.hexdigest()


def url_digest(url: str) -> str:
    """Return the digest of a URL's text without its fragment; the URL is never fetched."""
    return blake3(f"url {urldefrag(url).url}\n".encode()).hexdigest()
