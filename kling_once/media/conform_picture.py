"""Make a reference image fit the documented limits, changing only what must change."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from PIL import Image

from .bounds import encoded_bytes, enlarging_violations, picture_violations
from .picture import (
    ON_WHITE,
    PictureSource,
    StoppableFile,
    has_holes,
    is_file,
    open_picture,
    probe_picture,
    read_picture,
    rgb_of,
    rgb_pixels,
)
from .profile import conversion_of, has_private_tags
from .source import check_stop
from .types import ConformedPicture, ConformMode

if TYPE_CHECKING:
    from ..errors import Violation
    from .types import PictureBounds, PictureFacts, Stop

_PLAIN_MODES = frozenset({"RGB", "L"})
_COLOR_MODES = frozenset({"RGB", "RGBA", "P"})
"""Modes whose ICC profile describes RGB, and so also the pixels that are made of them."""
_LOSSY_FORMATS = frozenset({"JPEG", "WEBP", "MPO", "AVIF"})
_PROFILE_PART = b"ICC_PROFILE\0"
"""Begins each part of a profile in a JPEG; Pillow hands over none where a part is missing."""
_EIGHT_BITS = 8
_JPEG_QUALITIES = (95, 90, 85, 80)  # under 80 fewer pixels look better than coarser ones
_SHRINK = 0.85
_LIKELY_PNG_RATIO = 0.9  # of the raw size; noise does not get smaller
_MOST_PIXELS = 80_000_000  # borders included; a strip of 16 x 65,000 px would get 1,700 million


def conform_picture(
    source: PictureSource,
    bounds: PictureBounds,
    *,
    mode: ConformMode = ConformMode.AUTO,
    stop: Stop | None = None,
) -> ConformedPicture:
    """Return a picture file that fits `bounds`, or the violations that stay when `mode` is off.

    A file that fits and that every reader understands alike comes back byte for byte, but for its private
    parts: only pixels and colour tags are sent, also when `mode` is off.

    Raises:
        UnreadableMedia: No picture, a damaged one, or a tensor of a wrong shape.
        InputChanged: The file was written while it was read.
    """
    mode = ConformMode(mode)
    if not is_file(source):
        report = [ON_WHITE] if has_holes(source) else []
        return _conform_pixels(rgb_pixels(source), bounds, mode, report, stop)
    picture = read_picture(source, stop=stop)
    facts = probe_picture(picture, stop=stop)
    violations = picture_violations(facts, bounds)
    with open_picture(picture, stop) as image:
        conversion = conversion_of(image)
        profile = image.info.get("icc_profile") or b""
        is_clean = picture.is_clean
        report = _peculiarities(facts)
        if profile and has_private_tags(profile):
            is_clean, profile = False, b""
            if conversion is None:
                report.append("Saved anew as sRGB without its colour profile, which holds private data.")
        elif not profile and facts.format in _LOSSY_FORMATS and _PROFILE_PART in picture.data:
            is_clean = False
            report.append("Its colour profile cannot be read; its colours are taken as sRGB.")
        if conversion is not None:
            report.append(conversion.sentence)
        if not picture.is_clean:
            report.append("Saved anew, since the file holds parts that are not understood.")
        is_sent = mode == ConformMode.OFF and (is_clean or violations)
        if is_sent or not (violations or report):
            return ConformedPicture(picture.data, facts, picture.sentences, violations)
        if facts.format not in bounds.formats:
            report.append(f"Converted from {facts.format}.")
        report += picture.sentences
        if conversion or image.mode not in _COLOR_MODES:
            profile = b""
        pixels = rgb_of(picture, image, conversion, stop)
    lossy = facts.format in _LOSSY_FORMATS
    profile = profile if profile[16:20] == b"RGB " else None
    return _conform_pixels(pixels, bounds, mode, report, stop, lossy=lossy, profile=profile)


def _peculiarities(facts: PictureFacts) -> list[str]:
    """Return a sentence for everything that readers of the file do not agree about."""
    report = []
    if facts.frame_count > 1:
        report.append(f"The first of {facts.frame_count} frames is used.")
    if facts.exif_orientation != 1:
        report.append(f"Turned upright (EXIF orientation {facts.exif_orientation}).")
    if facts.has_alpha:
        report.append(ON_WHITE)
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
    violations: tuple[Violation, ...] = ()
    if mode is not ConformMode.OFF:
        check_stop(stop)
        height_px, width_px = pixels.shape[:2]
        pixels, factor = _fitted(pixels, bounds, report)
        violations = enlarging_violations("image", (width_px, height_px), factor, bounds.min_side_px)
    limit = bounds.max_encoded_bytes
    data, told = encode_pixels(pixels, max_encoded_bytes=limit, lossy=lossy, profile=profile, stop=stop)
    facts = probe_picture(data, stop=stop)
    violations = (*violations, *picture_violations(facts, bounds))
    return ConformedPicture(data, facts, (*report, *told), violations)


def _fitted(pixels: np.ndarray, bounds: PictureBounds, report: list[str]) -> tuple[np.ndarray, float]:
    """Return the pixels scaled into the side limits and padded into the ratio, and the scale."""
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
    return _padded(pixels, bounds, report), factor


def _padded(pixels: np.ndarray, bounds: PictureBounds, report: list[str]) -> np.ndarray:
    """Add borders in the mean colour of the adjoining edge where the ratio needs them; add to `report`."""
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


def encode_pixels(
    pixels: np.ndarray,
    *,
    max_encoded_bytes: int,
    lossy: bool = False,
    profile: bytes | None = None,
    stop: Stop | None = None,
) -> tuple[bytes, tuple[str, ...]]:
    """Return a picture as PNG, or JPEG (4:4:4) where that is too large, and a sentence for each change.

    JPEG quality goes down from 95 to 80 only as needed; if that is not enough, the picture is scaled down.

    Args:
        pixels: (H, W, 3) uint8.
        max_encoded_bytes: Limit of the file's base64 text.
        lossy: The pixels come from a lossy file, so that PNG is not tried.
        profile: The pixels' ICC profile; None is sRGB.
        stop: Asked before each piece that is written.
    """
    check_stop(stop)
    image = Image.fromarray(pixels)
    if profile:
        image.info["icc_profile"] = profile
    most_bytes = max_encoded_bytes // 4 * 3
    if not lossy and pixels.nbytes * _LIKELY_PNG_RATIO <= 4 * most_bytes:
        data = _saved(image, "PNG", stop, compress_level=4)
        if encoded_bytes(len(data)) <= max_encoded_bytes:
            return data, ()
    original = image.size
    while True:
        data = b""
        for quality in _JPEG_QUALITIES:
            data = _saved(image, "JPEG", stop, quality=quality, subsampling=0)
            if encoded_bytes(len(data)) <= max_encoded_bytes:
                saved = f"Saved as JPEG of quality {quality}."
                if image.size == original:
                    return data, (saved,)
                sizes = "{} x {} to {} x {} px".format(*original, *image.size)
                return data, (f"Scaled from {sizes} to stay under the size limit.", saved)
            if len(data) > 4 * most_bytes:
                break  # lower quality cannot make up for that
        scale = min(_SHRINK, (most_bytes / len(data)) ** 0.5)
        width, height = (max(1, round(side * scale)) for side in image.size)
        check_stop(stop)
        image = image.resize((width, height), Image.Resampling.LANCZOS)  # keeps its ICC profile


def _saved(image: Image.Image, form: str, stop: Stop | None, **options: int) -> bytes:
    buffer = io.BytesIO()
    target = cast("BinaryIO", StoppableFile(buffer, stop))
    image.save(target, form, icc_profile=image.info.get("icc_profile"), **options)
    return buffer.getvalue()
