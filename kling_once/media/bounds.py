"""Compare what was measured with the documented limits: facts in, violations out."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import Violation

if TYPE_CHECKING:
    from ..errors import MediaError
    from .types import ClipBounds, ClipFacts, PictureBounds, PictureFacts

MOST_ENLARGED = 2
"""Times: larger, a picture has no details that Kling could keep."""
MEGABYTE = 1_000_000
"""Bytes. The vendor's pages do not say whether a megabyte is 1000 or 1024 squared; the smaller is safe."""
SPARE_SECONDS = Fraction(4, 100)
"""A trimmed clip ends this much before the limit, since its container is a little longer than its frames."""


def encoded_bytes(size_bytes: int) -> int:
    """Return the length of a file's base64 text."""
    return math.ceil(size_bytes / 3) * 4


def picture_violations(facts: PictureFacts, bounds: PictureBounds) -> tuple[Violation, ...]:
    """Return a violation for each documented limit that a reference image breaks."""
    size = f"{facts.width_px} x {facts.height_px} px"
    shorter, longer = sorted((facts.width_px, facts.height_px))
    found: list[Violation] = []

    def broken(rule: str, message: str) -> None:
        found.append(Violation("image", rule, f"Reference image {message}"))

    if facts.format not in bounds.formats:
        broken(
            "image.format",
            f"is {facts.format}; Kling takes {_listed(bounds.formats)}. "
            "Save it as JPEG or PNG, or use conform 'auto'.",
        )
    sent_bytes = encoded_bytes(facts.size_bytes)
    if sent_bytes > bounds.max_encoded_bytes:
        broken(
            "image.size",
            f"is {_megabytes(facts.size_bytes)}, {_megabytes(sent_bytes)} as it is sent (base64); the limit "
            f"is {_megabytes(bounds.max_encoded_bytes)}. Make it smaller, or use conform 'auto'.",
        )
    if shorter < bounds.min_side_px:
        broken(
            "image.side.min",
            f"is {size}; each side must have at least {bounds.min_side_px} px. "
            "Use a larger picture, or use conform 'auto'.",
        )
    if longer > bounds.max_side_px:
        broken(
            "image.side.max",
            f"is {size}; each side may have at most {bounds.max_side_px} px. "
            "Make it smaller, or use conform 'auto'.",
        )
    if longer > shorter * bounds.max_ratio:
        broken(
            "image.ratio",
            f"is {size}, a ratio of {longer / shorter:.2f}; the longer side may have at most "
            f"{bounds.max_ratio:g} times the shorter. Crop it, or use conform 'auto', which adds borders.",
        )
    return tuple(found)


def clip_violations(facts: ClipFacts, bounds: ClipBounds) -> tuple[Violation, ...]:
    """Return a violation for each documented limit that a reference video breaks."""
    size = f"{facts.width_px} x {facts.height_px} px"
    shorter, longer = sorted((facts.width_px, facts.height_px))
    found: list[Violation] = []

    def broken(rule: str, message: str) -> None:
        found.append(Violation("video", rule, f"Reference video {message}"))

    if facts.container not in bounds.containers:
        broken(
            "video.container",
            f"is a {facts.container} file; Kling takes {_listed(bounds.containers)}. "
            "Export it as MP4, or use conform 'auto'.",
        )
    if facts.size_bytes > bounds.max_size_bytes:
        broken(
            "video.size",
            f"is {_megabytes(facts.size_bytes)}; the limit is {_megabytes(bounds.max_size_bytes)}. "
            "Export it with a lower bitrate, or use conform 'auto'.",
        )
    if shorter < bounds.min_side_px:
        broken(
            "video.side.min",
            f"is {size}; each side must have at least {bounds.min_side_px} px. "
            "Scale it up, or use conform 'auto'.",
        )
    if longer > bounds.max_side_px:
        broken(
            "video.side.max",
            f"is {size}; each side may have at most {bounds.max_side_px} px. "
            "Scale it down, or use conform 'auto'.",
        )
    found.extend(duration_violations(facts.duration_seconds, bounds))
    return tuple(found)


def duration_violations(duration_seconds: float, bounds: ClipBounds) -> tuple[Violation, ...]:
    """Return the violation of a duration outside the limits of the orientation, or none."""
    shortest, longest = bounds.min_duration_seconds, bounds.max_duration_seconds
    if shortest <= duration_seconds <= longest:
        return ()
    if duration_seconds < shortest:
        rule, limit, way_out = "min", shortest, "Use a longer clip."
    else:
        rule, limit = "max", longest
        way_out = (
            "Trim it, or use conform 'auto, trim to limit', "
            f"which takes its first {float(longest - SPARE_SECONDS):g} s."
        )
    message = (
        f"Reference video is {spoken_seconds(duration_seconds, limit)} long; "
        f"{bounds.whose} allows {shortest:g} to {longest:g} s. {way_out}"
    )
    return (Violation("video", f"video.duration.{rule}", message),)


def enlarging_violations(
    field: str, size_px: tuple[int, int], factor: float, min_side_px: int
) -> tuple[Violation, ...]:
    """Return the violation of an "image" or "video" that only a scale of more than 2 would make fit."""
    if factor <= MOST_ENLARGED:
        return ()
    message = (
        f"Reference {field} is {size_px[0]} x {size_px[1]} px; each side must have at least {min_side_px} "
        f"px, and conform makes nothing more than {MOST_ENLARGED} times as large. Use a larger one, or "
        "enlarge it yourself."
    )
    return (Violation(field, f"{field}.side.min", message),)


def unreadable_violation(field: str, error: MediaError) -> Violation:
    """Return the violation for a `field`, "image" or "video", that could not be read or measured."""
    return Violation(field, f"{field}.readable", str(error))


def spoken_seconds(seconds: float, limit: float) -> str:
    """Return a duration such as "30.04 s", with enough digits to differ from the limit."""
    for digits in range(1, 6):
        shown = f"{seconds:.{digits}f}"
        if float(shown) != limit:
            return f"{shown} s"
    return f"{seconds:.6f} s"


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds: "0:30" for 30, "1:02.5" for 62.5."""
    minutes, rest = divmod(round(seconds, 2), 60)
    whole = f"{int(minutes)}:{int(rest):02d}"
    fraction = f"{rest - int(rest):.2f}"[1:].rstrip("0").rstrip(".")
    return whole + fraction


def _listed(names: frozenset[str]) -> str:
    return " or ".join(sorted(name.upper() for name in names))


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / MEGABYTE:.2f}".rstrip("0").rstrip(".") + " MB"
