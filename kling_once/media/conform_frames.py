"""Make frames from a graph a reference video that fits the documented limits."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .encode import checked_shape, encode_frames
from .plan import CROPPED
from .types import ClipFacts, Frames

if TYPE_CHECKING:
    from pathlib import Path

    from .plan import ClipPlan
    from .types import ClipBounds, OnProgress, Stop


def facts_of_frames(frames: Frames) -> ClipFacts:
    """Return what a clip of these frames is before it is written. Raises `UnreadableMedia`."""
    count, height_px, width_px = checked_shape(frames)
    rate = Fraction(frames.fps)
    seconds = float(count / rate)
    return ClipFacts(
        container="mp4",
        video_codec="h264",
        pixel_format="yuv420p",
        bit_depth=8,
        color_primaries="bt709",
        color_transfer="bt709",
        color_space="bt709",
        color_range="tv",
        rotation_degrees=0,
        is_mirrored=False,
        is_interlaced=False,
        width_px=width_px,
        height_px=height_px,
        stored_width_px=width_px,
        stored_height_px=height_px,
        frame_rate=rate,
        is_variable_rate=False,
        duration_seconds=seconds,
        container_duration_seconds=seconds,
        picture_duration_seconds=seconds,
        picture_start_seconds=0.0,
        frame_count=count,
        sound=None,
        size_bytes=0,
    )


def write_frames(
    frames: Frames,
    target: Path,
    plan: ClipPlan,
    bounds: ClipBounds,
    *,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Write the planned part of the frames in the planned size; bars are not added here."""
    first = round(plan.start_seconds * plan.rate)
    part = Frames(
        frames.frames[first : first + plan.frame_count],
        plan.rate,
        _sound_from(frames.audio, plan.start_seconds),
    )
    size_px = (plan.canvas.content_width_px, plan.canvas.content_height_px)
    encode_frames(
        part,
        target,
        stop=stop,
        on_progress=on_progress,
        size_px=size_px if plan.canvas.is_scaled else None,
        max_size_bytes=bounds.max_size_bytes,
    )


def told(frames: Frames, plan: ClipPlan) -> tuple[str, ...]:
    """Return the report of frames that were written as a clip."""
    count = f"{plan.frame_count} of {len(frames.frames)} frames"
    cropped = (CROPPED,) if plan.canvas.is_cropped and CROPPED not in plan.report else ()
    return (f"Encoded {count} at {float(plan.rate):.5g} fps as H.264 MP4.", *plan.report, *cropped)


def _sound_from(audio: dict[str, Any] | None, start: Fraction) -> dict[str, Any] | None:
    if audio is None or not start:
        return audio
    skipped = round(start * int(audio["sample_rate"]))
    return {**audio, "waveform": audio["waveform"][..., skipped:]}
