"""Make a reference image fit the documented limits, and nothing more."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .bounds import picture_violations
from .container import check_stop
from .encode import encode_pixels
from .picture import (
    PictureSource,
    file_bytes,
    is_file,
    open_picture,
    rgb_of,
    rgb_pixels,
)
from .probe import probe_picture
from .types import ConformedPicture, ConformMode

if TYPE_CHECKING:
    from .types import PictureBounds, PictureFacts, Stop

_PLAIN_MODES = frozenset({"RGB", "L"})
_COLOR_MODES = frozenset({"RGB", "RGBA", "P"})
"""Their colour profile is one of RGB, and holds for what is made of them."""
_LOSSY_FORMATS = frozenset({"JPEG", "WEBP", "MPO", "AVIF"})
_EIGHT_BITS = 8
_MOST_PIXELS = 80_000_000  # with borders: a strip of 16 x 65,000 px would get them to 1,700 million


def conform_picture(
    source: PictureSource,
    bounds: PictureBounds,
    *,
    mode: ConformMode = ConformMode.AUTO,
    stop: Stop | None = None,
) -> ConformedPicture:
    """Return a picture file that fits `bounds`, or the violations that stay when `mode` is off.

    A file that fits and that every reader understands alike comes back byte for byte. Raises
    `UnreadableMedia`, and `MediaStopped` when `stop` says so.
    """
    if not is_file(source):
        return _conform_pixels(rgb_pixels(source), bounds, ConformMode(mode), [], stop)
    source = Path(source) if isinstance(source, str) else source
    facts = probe_picture(source, stop=stop)  # before all of it is read: it may be a video
    data = file_bytes(source)
    violations = picture_violations(facts, bounds)
    report = _peculiarities(facts)
    if mode == ConformMode.OFF or not (violations or report):
        return ConformedPicture(data, facts, (), violations)
    with open_picture(data, stop) as image:
        pixels = rgb_of(image, stop)
        profile = image.info.get("icc_profile") if image.mode in _COLOR_MODES else None
    if facts.format not in bounds.formats:
        report.append(f"Converted from {facts.format}.")
    lossy = facts.format in _LOSSY_FORMATS
    return _conform_pixels(pixels, bounds, ConformMode(mode), report, stop, lossy=lossy, profile=profile)


def _peculiarities(facts: PictureFacts) -> list[str]:
    """Return a sentence for everything that some reader would understand differently."""
    report = []
    if facts.frame_count > 1:
        report.append(f"The first of {facts.frame_count} frames is used.")
    if facts.exif_orientation != 1:
        report.append(f"Turned upright (EXIF orientation {facts.exif_orientation}).")
    if facts.has_alpha:
        report.append("Transparency laid on white.")
    elif facts.mode not in _PLAIN_MODES and facts.bit_depth <= _EIGHT_BITS:
        report.append(f"Converted from {facts.mode} to RGB.")
    if facts.bit_depth > _EIGHT_BITS:
        report.append(f"Reduced from {facts.bit_depth} to 8 bits per channel.")
    return report


def _conform_pixels(
    pixels: np.ndarray,
    bounds: PictureBounds,
    mode: ConformMode,
    report: list[str],
    stop: Stop | None,
    *,
    lossy: bool = False,
    profile: bytes | None = None,
) -> ConformedPicture:
    if mode is not ConformMode.OFF:
        check_stop(stop)
        pixels = _fitted(pixels, bounds, report)
    limit = bounds.max_encoded_bytes
    encoded = encode_pixels(pixels, max_encoded_bytes=limit, lossy=lossy, profile=profile, stop=stop)
    facts = probe_picture(encoded.data, stop=stop)
    return ConformedPicture(
        encoded.data, facts, (*report, *encoded.report), picture_violations(facts, bounds)
    )


def _fitted(pixels: np.ndarray, bounds: PictureBounds, report: list[str]) -> np.ndarray:
    """Return the pixels scaled into the side limits and padded into the ratio, telling it in `report`."""
    height, width = pixels.shape[:2]
    longer = max(width, height)
    shorter = max(min(width, height), math.ceil(longer / bounds.max_ratio))  # with borders
    longest = bounds.max_side_px
    if shorter > min(width, height):
        longest = min(longest, math.isqrt(round(_MOST_PIXELS * bounds.max_ratio)))
    factor = 1.0
    if longer > longest:
        factor = longest / longer
    elif shorter < bounds.min_side_px:
        factor = bounds.min_side_px / shorter
    if factor != 1.0:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        report.append(f"Scaled from {width} x {height} to {size[0]} x {size[1]} px.")
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return _padded(pixels, bounds, report)


def _padded(pixels: np.ndarray, bounds: PictureBounds, report: list[str]) -> np.ndarray:
    """Add borders in the mean colour of the edge they continue."""
    height, width = pixels.shape[:2]
    least = max(bounds.min_side_px, math.ceil(max(width, height) / bounds.max_ratio))
    axis = 0 if height < least else 1
    missing = least - min(width, height)
    if missing <= 0:
        return pixels
    upright = pixels if axis == 0 else pixels.swapaxes(0, 1)
    before, after = missing // 2, missing - missing // 2
    borders = [
        np.broadcast_to(np.round(edge.mean(axis=0)).astype(np.uint8), (rows, *upright.shape[1:]))
        for edge, rows in ((upright[0], before), (upright[-1], after))
    ]
    padded = np.concatenate([borders[0], upright, borders[1]])
    padded = padded if axis == 0 else padded.swapaxes(0, 1)
    report.append(
        f"Borders added to get from {width} x {height} to {padded.shape[1]} x {padded.shape[0]} px, "
        f"a ratio of at most {bounds.max_ratio:g}."
    )
    return np.ascontiguousarray(padded)
