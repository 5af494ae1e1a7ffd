"""Make a reference video fit the documented limits, changing only what must change."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnreadableMedia
from .bounds import clip_violations
from .damage import Damage
from .encode import checked_shape, encode_frames
from .frame_folder import FrameFolder
from .picture import ON_WHITE, has_holes
from .plan import CROPPED, ClipPlan, Work, plan_clip
from .private_boxes import left_out
from .probe import probe_clip
from .sound import sound_part
from .source import translating
from .transcode import reencode, remux
from .types import ClipFacts, ConformedClip, ConformMode, Frames, TrimWindow

if TYPE_CHECKING:
    from .types import ClipBounds, OnProgress, Stop


_MOST_LATE_SECONDS = 0.04
_MOST_TRIES = 3  # at a lower bitrate each, in case the encoder overshoots
_LESS = 0.95  # of the bitrate that would just fit
_STEM_LENGTH = 40


def conform_clip(
    source: Path | Frames,
    target_dir: Path,
    bounds: ClipBounds,
    *,
    mode: ConformMode,
    window: TrimWindow | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> ConformedClip:
    """Return a clip that fits `bounds`, or the violations that `mode` does not allow to correct.

    A file that fits is returned as the same path, unchanged; where only the container is wrong, or the file
    holds private data (in every mode), its packets are copied into an MP4; everything else is one streaming
    re-encode. No file is left on failure or with violations.

    Args:
        source: A clip, or frames to be written as one.
        target_dir: Folder for a new file; made when missing.
        bounds: The limits.
        mode: How far the clip may be changed.
        window: The part that is meant; None is all of it.
        stop: Asked between packets and frames.
        on_progress: Called after each frame that is written.

    Raises:
        UnreadableMedia: The clip cannot be read, or the frames cannot be written.
        DiskFull: There is no room for the new file.
    """
    mode = ConformMode(mode)
    if isinstance(source, Frames):
        return _conform_frames(source, target_dir, bounds, mode, window, stop, on_progress)
    source = Path(source)
    facts = probe_clip(source, stop=stop)
    plan = plan_clip(facts, bounds, mode, window)
    if plan.violations or plan.work is Work.NOTHING:
        violations = plan.violations or clip_violations(facts, bounds)
        report = () if violations else plan.report
        return ConformedClip(source, facts, report, plan.used_range, violations, True)
    target = _new_file(target_dir, source.stem)
    try:
        plan, written, damage = _write(source, target, facts, plan, bounds, stop, on_progress)
        violations = (*clip_violations(written, bounds), *damage.violations(source.name))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if violations:
        target.unlink(missing_ok=True)
        return ConformedClip(source, facts, (), plan.used_range, violations, True)
    lost = (damage.sentence(source.name),) if damage.lost else ()
    report = (*plan.report, *left_out(facts.private), *lost)
    return ConformedClip(target, written, report, plan.used_range, (), False)


def _conform_frames(
    source: Frames,
    target_dir: Path,
    bounds: ClipBounds,
    mode: ConformMode,
    window: TrimWindow | None,
    stop: Stop | None,
    on_progress: OnProgress | None,
) -> ConformedClip:
    facts = facts_of_frames(source)
    plan = plan_clip(facts, bounds, mode, window)
    if plan.violations:
        return ConformedClip(Path(), facts, (), plan.used_range, plan.violations, False)
    target = _new_file(target_dir, "frames")
    try:
        size_px = (plan.canvas.content_width_px, plan.canvas.content_height_px)
        encode_frames(
            _part(source, plan),
            target,
            stop=stop,
            on_progress=on_progress,
            size_px=size_px if plan.canvas.is_scaled else None,
            max_size_bytes=bounds.max_size_bytes,
        )
        written = conform_clip(target, target_dir, bounds, mode=mode, stop=stop)  # for the bars
        if not written.is_original or written.violations:
            target.unlink()
        if written.violations:
            written = replace(written, path=Path())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    count = f"{plan.frame_count} of {len(source.frames)} frames"
    cropped = (CROPPED,) if plan.canvas.is_cropped and CROPPED not in plan.report else ()
    pixels = source.frames.report if isinstance(source.frames, FrameFolder) else ()
    if not isinstance(source.frames, FrameFolder) and has_holes(source.frames):
        pixels = (ON_WHITE,)
    encoded = f"Encoded {count} at {float(plan.rate):.5g} fps as H.264 MP4."
    report = (encoded, *plan.report, *cropped, *pixels)
    return replace(written, report=report, used_range=plan.used_range, is_original=False)


def _write(
    source: Path,
    target: Path,
    facts: ClipFacts,
    plan: ClipPlan,
    bounds: ClipBounds,
    stop: Stop | None,
    on_progress: OnProgress | None,
) -> tuple[ClipPlan, ClipFacts, Damage]:
    """Write the planned file; return the plan that was carried out, the file's facts, the source's damage."""
    if plan.work is Work.REMUX:
        with suppress(UnreadableMedia):  # an MP4 cannot hold every codec; then the clip is re-encoded
            remux(source, target, facts, stop=stop)
            written = probe_clip(target, stop=stop)
            is_clean = not written.private  # a copy of packets may still hold what came with them
            if is_clean and not clip_violations(written, bounds) and _is_in_step(facts, written):
                return plan, written, Damage(facts.frame_count)
        plan = replace(plan, work=Work.REENCODE, report=("Re-encoded as H.264 MP4.",))
    limit = bounds.max_size_bytes
    tries = 0
    while True:
        damage = reencode(
            source, target, facts, plan, max_size_bytes=limit, stop=stop, on_progress=on_progress
        )
        written = probe_clip(target, stop=stop)
        tries += 1
        if written.size_bytes <= bounds.max_size_bytes or tries == _MOST_TRIES:
            return plan, written, damage
        limit = int(limit * bounds.max_size_bytes / written.size_bytes * _LESS)


def _is_in_step(facts: ClipFacts, written: ClipFacts) -> bool:
    """Tell whether a copy of a clip's packets has the same frames, each within 40 ms of its time."""
    return (
        written.frame_count == facts.frame_count
        and written.picture_start_seconds <= _MOST_LATE_SECONDS
        and abs(written.duration_seconds - facts.duration_seconds) <= _MOST_LATE_SECONDS
    )


def _new_file(folder: Path, stem: str) -> Path:
    """Make a new empty file that is named after its source."""
    safe = "".join(char if char.isascii() and char.isalnum() else "_" for char in stem)[:_STEM_LENGTH]
    with translating(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{safe or 'clip'}_", suffix=".mp4", dir=folder)
    os.close(handle)
    return Path(name)


def facts_of_frames(frames: Frames) -> ClipFacts:
    """Return the facts of a clip before it is written from frames; its sound is left out.

    Raises:
        UnreadableMedia: The frames cannot be encoded, as `checked_shape` says.
    """
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
        picture_start_seconds=0.0,
        frame_count=count,
        sound=None,
        size_bytes=0,
    )


def _part(frames: Frames, plan: ClipPlan) -> Frames:
    """Return the planned part of the frames, and their sound from there on."""
    first = round(plan.start_seconds * plan.rate)
    audio = sound_part(frames.audio, plan.start_seconds, None)
    return Frames(frames.frames[first : first + plan.frame_count], plan.rate, audio)
