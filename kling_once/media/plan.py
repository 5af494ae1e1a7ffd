"""Plan what makes a clip fit the limits: facts and limits in, a plan with a sentence for each change out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from .bounds import (
    MEGABYTE,
    SPARE_SECONDS,
    clip_violations,
    clock,
    duration_violations,
    enlarging_violations,
)
from .color import is_wide, leaves_matrix_open
from .types import ConformMode, TrimWindow
from .user_data import is_looked_into

if TYPE_CHECKING:
    from ..errors import Violation
    from .types import ClipBounds, ClipFacts

MOST_TRIMMED_SECONDS = Fraction(1, 2)
"""The most that `auto` may cut away."""
CROPPED = "The last odd row or column was cut off, since H.264 needs even sides."
_PLAIN_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PLAIN_SOUND = frozenset({"aac", "mp3"})
_MOST_IDLE_SOUND_SECONDS = 0.1  # a frame or two of sound more is what encoders write
_MOST_LATE_SECONDS = 0.04
_BLOCK_PX = 16  # an encoder's block: 3840 rather than 3850 px when a clip is scaled down
_MOST_VARIABLE_RATE = Fraction(60)
_CODEC_NAMES = {"hevc": "HEVC", "prores": "ProRes", "vp9": "VP9", "av1": "AV1", "mjpeg": "MJPEG"}
_PRIMARY_NAMES = {"smpte432": "Display P3", "bt2020": "BT.2020"}
_TRANSFER_NAMES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


@dataclass(frozen=True, slots=True)
class Canvas:
    """The size of a clip and of the picture in its middle; all sides are even."""

    content_width_px: int
    """Of the picture without bars."""
    content_height_px: int
    width_px: int
    """Of the clip, bars included."""
    height_px: int
    is_scaled: bool
    is_cropped: bool
    """An odd last row or column is cut off."""

    @property
    def is_padded(self) -> bool:
        """Tell whether there are bars."""
        return (self.width_px, self.height_px) != (self.content_width_px, self.content_height_px)


def fit(width_px: int, height_px: int, bounds: ClipBounds, *, scale: bool = True) -> Canvas:
    """Return the canvas for a clip's size as displayed; without `scale` only odd sides are made even."""
    smallest = bounds.min_side_px + bounds.min_side_px % 2
    largest = max(smallest, bounds.max_side_px // _BLOCK_PX * _BLOCK_PX)
    shorter, longer = sorted((width_px, height_px))
    factor = 1.0
    if scale and longer > bounds.max_side_px:
        factor = largest / longer
    if scale and shorter * factor < bounds.min_side_px:
        factor = min(smallest / shorter, largest / longer)
    if factor == 1.0:
        content = (max(2, width_px - width_px % 2), max(2, height_px - height_px % 2))
    else:
        content = (_even(width_px * factor, largest), _even(height_px * factor, largest))
    least = smallest if scale else 2
    return Canvas(
        *content,
        max(content[0], least),
        max(content[1], least),
        is_scaled=factor != 1.0,
        is_cropped=factor == 1.0 and content != (width_px, height_px),
    )


def _even(side: float, largest: int) -> int:
    return min(largest, max(2, round(side / 2) * 2))


class Work(StrEnum):
    """What has to be done with a clip's file."""

    NOTHING = "sent as it is"
    REMUX = "repacked"
    REENCODE = "re-encoded"


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """What is to be done with a clip."""

    work: Work
    start_seconds: Fraction
    """Start of the part that is used, after the first frame."""
    frame_count: int
    rate: Fraction
    """Constant frames per second of the result."""
    canvas: Canvas
    report: tuple[str, ...]
    violations: tuple[Violation, ...]
    """What cannot be corrected; with any, nothing is to be done."""

    @property
    def seconds(self) -> Fraction:
        """Return the length of the result's pictures, and the longest that its sound may last."""
        return self.frame_count / self.rate

    @property
    def used_range(self) -> tuple[float, float]:
        """Return start and end of the part that is used, in seconds of the source."""
        return float(self.start_seconds), float(self.start_seconds + self.seconds)


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of the source that the trim window selects."""

    start: Fraction
    seconds: Fraction
    is_whole: bool


def plan_clip(
    facts: ClipFacts, bounds: ClipBounds, mode: ConformMode, window: TrimWindow | None = None
) -> ClipPlan:
    """Return the plan with the fewest changes that make a clip fit, or the violations that remain."""
    part = _selected_part(facts, window or TrimWindow())
    violations = _lasting_violations(facts, bounds, mode, part)
    rate = constant_rate(facts)
    seconds, report = _trimmed(part, bounds, mode)
    is_left = mode is ConformMode.OFF and is_looked_into(facts.video_codec) and not facts.hidden_frame_count
    reasons = [] if is_left else _reasons(facts, bounds)
    canvas = fit(facts.width_px, facts.height_px, bounds, scale=mode is not ConformMode.OFF)
    factor = canvas.content_width_px / facts.width_px
    violations += enlarging_violations("video", (facts.width_px, facts.height_px), factor, bounds.min_side_px)
    if canvas.is_scaled:
        size = f"{canvas.content_width_px} x {canvas.content_height_px}"
        reasons.append(f"Scaled from {facts.width_px} x {facts.height_px} to {size} px.")
    if canvas.is_padded:
        reasons.append(f"Black bars fill it up to {canvas.width_px} x {canvas.height_px} px.")
    if canvas.is_cropped and not (mode is ConformMode.OFF and part.is_whole):
        reasons.append(CROPPED)
    frame_count = max(1, round(seconds * rate) if not report else math.floor(seconds * rate))
    if frame_count / rate < bounds.min_duration_seconds <= part.seconds:
        frame_count += 1
    if frame_count / rate > bounds.max_duration_seconds >= part.seconds:
        frame_count -= 1  # 10 s at 29.97 fps: 300 frames would last 10.01 s
    if reasons or report or not part.is_whole:
        work, report = Work.REENCODE, [*report, *reasons, *(_idle_sound(facts) if part.is_whole else [])]
        if not part.is_whole:
            chosen = f"{clock(float(part.start))}-{clock(float(part.start + part.seconds))}"
            report.insert(0, f"Cut out {chosen}, the part that was chosen.")
    else:
        work, report = _repacking(facts, bounds, mode)
    return ClipPlan(work, part.start, frame_count, rate, canvas, tuple(report), tuple(violations))


def _selected_part(facts: ClipFacts, window: TrimWindow) -> _Part:
    whole = Fraction(facts.duration_seconds).limit_denominator(1_000_000)
    start = min(Fraction(window.start_seconds).limit_denominator(1_000_000), whole)
    seconds = whole - start
    if window.duration_seconds:
        seconds = min(seconds, Fraction(window.duration_seconds).limit_denominator(1_000_000))
    if not start and whole - seconds < 1 / facts.frame_rate / 2:
        return _Part(Fraction(0), whole, is_whole=True)
    return _Part(start, seconds, is_whole=False)


def _lasting_violations(
    facts: ClipFacts, bounds: ClipBounds, mode: ConformMode, part: _Part
) -> list[Violation]:
    """Return the violations that conforming in this mode cannot correct."""
    if mode is ConformMode.OFF:
        durations = duration_violations(float(part.seconds), bounds)
        others = [v for v in clip_violations(facts, bounds) if not v.rule.startswith("video.duration")]
        if not part.is_whole:  # a trim window is re-encoded anyway, which sets the container and the size
            others = [v for v in others if v.rule.startswith("video.side")]
        return [*others, *durations]
    longest = Fraction(bounds.max_duration_seconds)
    if part.seconds > longest:
        cut = part.seconds - (longest - SPARE_SECONDS)
        if mode is ConformMode.TRIM or cut <= MOST_TRIMMED_SECONDS:
            return []
    return list(duration_violations(float(part.seconds), bounds))


def _trimmed(part: _Part, bounds: ClipBounds, mode: ConformMode) -> tuple[Fraction, list[str]]:
    """Return the seconds of pictures that are kept, and the report about what is cut off."""
    longest = Fraction(bounds.max_duration_seconds) - SPARE_SECONDS
    if mode is ConformMode.OFF or part.seconds <= bounds.max_duration_seconds:
        return part.seconds, []
    used = f"{clock(float(part.start))}-{clock(float(part.start + longest))}"
    lengths = f"from {float(part.seconds):.2f} s to {float(longest):.2f} s"
    limit = f"the limit of {bounds.whose}"
    return longest, [f"Trimmed {lengths}, {limit}: {used} is used."]


def constant_rate(facts: ClipFacts) -> Fraction:
    """Return the frames per second of a clip, or the constant rate that it is given when it varies."""
    if not facts.is_variable_rate:
        return facts.frame_rate
    return min(max(facts.peak_frame_rate or facts.frame_rate, Fraction(10)), _MOST_VARIABLE_RATE)


def _idle_sound(facts: ClipFacts) -> list[str]:
    if facts.idle_sound_seconds <= _MOST_IDLE_SOUND_SECONDS:
        return []
    return [f"Cut off the last {facts.idle_sound_seconds:.2f} s of sound, which had no picture."]


def _reasons(facts: ClipFacts, bounds: ClipBounds) -> list[str]:
    """Return a sentence for everything but the sides that only a re-encode can change."""
    found: list[str] = []
    if facts.video_codec != "h264":
        name = _CODEC_NAMES.get(facts.video_codec, facts.video_codec)
        found.append(f"Re-encoded from {name} to H.264.")
    if facts.is_hdr:
        name = _TRANSFER_NAMES[facts.color_transfer]
        found.append(f"Tone mapped from HDR ({name}) to ordinary BT.709 colours.")
    elif facts.pixel_format not in _PLAIN_FORMATS:
        found.append(f"Converted from {facts.bit_depth}-bit {facts.pixel_format} to 8-bit 4:2:0.")
    if is_wide(facts.color_primaries) and not facts.is_hdr:
        found.append(f"Converted from {_PRIMARY_NAMES[facts.color_primaries]} to BT.709 colours.")
    if facts.rotation_degrees or facts.is_mirrored:
        mirrored = "Mirrored and turned" if facts.is_mirrored else "Turned"
        found.append(f"{mirrored} upright ({facts.rotation_degrees} degrees).")
    if not facts.has_square_pixels:
        found.append(
            f"Stretched from {facts.stored_width_px} x {facts.stored_height_px} stored pixels to square ones."
        )
    if facts.hidden_frame_count:
        count = f"{facts.hidden_frame_count} hidden frames"
        found.append(f"Re-encoded, since {count} cannot be cut away otherwise.")
    found += _timing_reasons(facts)
    if facts.size_bytes > bounds.max_size_bytes:
        found.append(
            f"Re-encoded to get from {facts.size_bytes / MEGABYTE:.0f} MB under "
            f"{bounds.max_size_bytes / MEGABYTE:.0f} MB."
        )
    return found


def _timing_reasons(facts: ClipFacts) -> list[str]:
    """Return a sentence for what is wrong with when the pictures are shown."""
    found: list[str] = []
    if facts.is_interlaced:
        found.append("Deinterlaced, so that no picture is combed.")
    if not facts.has_presentation_times and facts.video_codec == "h264":
        found.append(
            f"Re-encoded frame by frame, since {facts.container} does not say when a picture is shown."
        )
    if facts.is_variable_rate:
        found.append(f"Changed from a variable frame rate to {float(constant_rate(facts)):.5g} fps.")
    return found


def _repacking(facts: ClipFacts, bounds: ClipBounds, mode: ConformMode) -> tuple[Work, list[str]]:
    if mode is ConformMode.OFF:
        combed = ["It is interlaced and its pictures are combed."] if facts.is_interlaced else []
        if not facts.private:
            return Work.NOTHING, combed
        return Work.REMUX, [*combed, *_idle_sound(facts)]
    report = _idle_sound(facts)
    sound_end_seconds = facts.duration_seconds + facts.idle_sound_seconds
    if not report and sound_end_seconds > bounds.max_duration_seconds >= facts.duration_seconds:
        report.append("Cut off the end of the sound, which had no picture, to keep to the limit.")
    if facts.picture_start_seconds > _MOST_LATE_SECONDS:
        report.append(f"Its first picture came after {facts.picture_start_seconds:.2f} s; now it comes at 0.")
    if leaves_matrix_open(facts):
        report.append("Marked as BT.709, which the file left open; the pictures are untouched.")
    if facts.container not in bounds.containers:
        report.append(f"Repacked from {facts.container} to MP4; the pictures are untouched.")
    if facts.sound is not None and facts.sound.codec not in PLAIN_SOUND:
        report.append(f"Sound re-encoded from {facts.sound.codec} to AAC; the pictures are untouched.")
    return (Work.REMUX if report or facts.private else Work.NOTHING), report
