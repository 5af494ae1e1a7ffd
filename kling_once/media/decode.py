"""Decode a clip to frames and sound in ComfyUI's forms, into one array that is allocated once."""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import UnreadableMedia
from . import color as sws
from .memory import populate, require_memory
from .probe import Turn, probe_clip
from .reader import ClipReader, SoundReader, demuxed
from .sound import SoundFormat, longest_sound, sound_memory_bytes, sound_part
from .source import check_stop, open_clip
from .types import ClipFacts, Frames, TrimWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.frame import VideoFrame

    from .types import OnProgress, Stop

_WORKERS = 2
_AHEAD = 4  # decoded frames that wait for a worker
_CHANNELS = 3
_PLANES = (2, 0, 1)  # gbrp stores green, blue, red
_LARGEST_14_BIT = np.float32(
    16383
)  # FFmpeg takes half as long for 14 bits as for 16; the error is at most 0.02 of 255
_BAND_ROWS = 64  # handled at a time, so that they stay in the processor's cache
_SMOOTH = sws.BILINEAR | sws.ACCURATE | sws.FULL_CHROMA
_SMALLER = sws.AREA | sws.ACCURATE | sws.FULL_CHROMA


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames of a clip to return, and their size."""

    start: Fraction
    """Seconds after the first frame."""
    room: int
    """The number of frames to allocate: the most there can be."""
    every_nth: int
    width_px: int
    height_px: int
    """Of both sides: as displayed, after scaling."""
    cuts_sound: bool
    """The sound ends with the last frame."""

    @property
    def memory_bytes(self) -> int:
        """Return the bytes that the frames alone take, 12 a pixel."""
        return self.room * self.width_px * self.height_px * _CHANNELS * 4


def select_frames(
    facts: ClipFacts,
    *,
    window: TrimWindow | None = None,
    start_seconds: Fraction | float = 0,
    count: int = 0,
    every_nth: int = 1,
    longest_side_px: int = 0,
) -> Selection:
    """Return which frames `decode_clip` returns for the same arguments."""
    window = window or TrimWindow()
    if window.duration_seconds:
        left = Fraction(window.duration_seconds) - Fraction(start_seconds)
        within = math.ceil(left * facts.frame_rate / every_nth)
        if within < 1:
            raise UnreadableMedia(
                f"The trimmed video ends after {float(window.duration_seconds):g} s, before the first wanted "
                "frame.",
                hint="Start earlier.",
            )
        count = min(within, count) if count else within
    start = Fraction(window.start_seconds) + Fraction(start_seconds)
    skipped = 0 if facts.is_variable_rate else math.ceil(start * facts.frame_rate - Fraction(1, 1000))
    room = math.ceil(max(0, facts.frame_count - skipped) / every_nth)
    if facts.is_variable_rate and start >= facts.duration_seconds:
        room = 0
    width_px, height_px = facts.width_px, facts.height_px
    longest = max(width_px, height_px)
    if longest_side_px and longest > longest_side_px:
        width_px, height_px = (
            max(1, round(side * longest_side_px / longest)) for side in (width_px, height_px)
        )
    room = min(room, count) if count else room
    return Selection(start, room, every_nth, width_px, height_px, cuts_sound=bool(count))


def decode_clip(
    path: Path,
    *,
    window: TrimWindow | None = None,
    start_seconds: Fraction | float = 0,
    count: int = 0,
    every_nth: int = 1,
    longest_side_px: int = 0,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Frames:
    """Return a clip's frames, (T, H, W, 3) float32 in 0..1, upright, and its sound in step with them.

    HDR is not tone mapped here; conforming does that.

    Args:
        path: The clip.
        window: The part of it that is meant; None is all of it.
        start_seconds: Where to begin, counted from the first frame of that part; at least 0.
        count: The most frames to return; 0 is all. The sound ends with the last of them.
        every_nth: 1 takes every frame; 2 takes every second one and halves fps.
        longest_side_px: Larger clips are scaled down to this; 0 keeps the size.
        stop: Asked before each packet.
        on_progress: Called after each frame.

    Raises:
        UnreadableMedia: The clip cannot be decoded, or has no frame after `start_seconds`.
        NotEnoughMemory: Frames and sound would not fit; nothing was allocated yet.
        ValueError: An argument is out of range.
    """
    if start_seconds < 0 or count < 0 or every_nth < 1 or longest_side_px < 0:
        raise ValueError("start, count and longest side are at least 0, every_nth at least 1")
    path = Path(path)
    facts = probe_clip(path, stop=stop)
    wanted = select_frames(
        facts,
        window=window,
        start_seconds=start_seconds,
        count=count,
        every_nth=every_nth,
        longest_side_px=longest_side_px,
    )
    if not wanted.room:
        raise UnreadableMedia(
            f"{path.name} has no frame after {float(wanted.start):g} s; it is "
            f"{facts.duration_seconds:.2f} s long.",
            hint="Start earlier.",
        )
    sound_seconds = max(Fraction(0), longest_sound(facts) - wanted.start)
    if wanted.cuts_sound:
        sound_seconds = wanted.room * every_nth / facts.frame_rate
    require_memory(
        wanted.memory_bytes + sound_memory_bytes(facts, sound_seconds),
        f"{wanted.room} frames of {wanted.width_px} x {wanted.height_px} px",
        "Take fewer frames (count, every n-th) or smaller ones (longest side), or use the video output.",
    )
    with open_clip(path) as container:
        decoding = _Decoding(container, path, facts, wanted, sound_seconds, stop)
        return decoding.run(on_progress)


class _Decoding:
    """One clip that is being decoded."""

    def __init__(
        self,
        container: InputContainer,
        path: Path,
        facts: ClipFacts,
        wanted: Selection,
        sound_seconds: Fraction,
        stop: Stop | None,
    ) -> None:
        self.path, self.facts, self.wanted = path, facts, wanted
        self.begin = facts.picture_start + wanted.start
        self.turn = Turn(facts.rotation_degrees, facts.is_mirrored)
        self.colorspace = sws.ITU_709 if sws.matrix_of(facts) == "bt709" else None
        self.sound = SoundReader.of(
            container, facts, SoundFormat.as_is, origin=self.begin, seconds=sound_seconds
        )
        self.waves: list[np.ndarray] = []
        self.taken = 0
        self.reader = ClipReader(
            container,
            path,
            start=self.begin if wanted.start else None,
            sound=self.sound,
            on_sound=self.waves.append,
            stop=stop,
        )
        # torch's array, since numpy asks for huge pages: on virtual machines that return freed memory to
        # their host these take 2 to 5 times as long to fill, and elsewhere they save little
        self.tensor = _torch().empty(
            (wanted.room, wanted.height_px, wanted.width_px, _CHANNELS), dtype=_torch().float32
        )
        self.frames = self.tensor.numpy()

    def run(self, on_progress: OnProgress | None) -> Frames:
        slots = threading.Semaphore(_AHEAD)
        local = threading.local()
        waiting: list[Future[None]] = []

        def fill(frame: VideoFrame, slot: int) -> None:
            try:
                if not hasattr(local, "reformatter"):
                    local.reformatter = VideoReformatter()
                self._fill(frame, self.frames[slot], local.reformatter)
            finally:
                slots.release()

        with ThreadPoolExecutor(_WORKERS, "kling-once-decode") as pool:
            for frame in self._selected():
                slots.acquire()
                waiting = [future for future in waiting if not _finished(future)]
                waiting.append(pool.submit(fill, frame, self.taken))
                self.taken += 1
                if on_progress:
                    on_progress(self.taken, self.wanted.room)
        for future in waiting:
            future.result()
        if not self.taken:
            raise UnreadableMedia(f"No frame of {self.path.name} can be decoded from there on.")
        self.reader.finish_sound()
        fps = self.facts.frame_rate / self.wanted.every_nth
        return Frames(self.tensor[: self.taken], fps, _audio(self.sound, self.waves))

    def _selected(self) -> Iterator[VideoFrame]:
        """Yield the selected frames; the reader collects the sound meanwhile."""
        half_a_frame = 1 / self.facts.frame_rate / 2 if not self.facts.is_variable_rate else Fraction(0)
        earliest = self.begin - half_a_frame
        number = 0
        for frame in self.reader.pictures(self._is_full):
            if frame.pts is not None and frame.time_base and frame.pts * frame.time_base < earliest:
                continue
            if number % self.wanted.every_nth == 0 and not self._is_full():
                yield frame
            number += 1

    def _is_full(self) -> bool:
        return self.taken >= self.wanted.room

    def _fill(self, frame: VideoFrame, target: np.ndarray, reformatter: VideoReformatter) -> None:
        width_px, height_px = self.wanted.width_px, self.wanted.height_px
        if self.turn.degrees in {90, 270}:
            width_px, height_px = height_px, width_px
        same_size = (frame.width, frame.height) == (width_px, height_px)
        planar = reformatter.reformat(
            frame,
            width=width_px,
            height=height_px,
            format="gbrp14le",
            src_colorspace=self.colorspace,  # FFmpeg takes BT.601 where the stream is silent
            interpolation=_SMOOTH if same_size else _SMALLER,
        )
        planes = []
        for plane_number in _PLANES:
            plane = planar.planes[plane_number]
            data: Any = plane  # supports the buffer protocol, which its type stub does not say
            values = np.frombuffer(data, np.uint16).reshape(height_px, plane.line_size // 2)[:, :width_px]
            planes.append(self.turn.applied(values))
        for top in range(0, len(target), _BAND_ROWS):
            rows = slice(top, top + _BAND_ROWS)
            band = target[rows]
            populate(band)
            for channel, plane in enumerate(planes):
                band[..., channel] = plane[rows]
            np.divide(band, _LARGEST_14_BIT, out=band)


def pick_frames(
    source: Frames,
    *,
    start_seconds: float = 0,
    count: int = 0,
    every_nth: int = 1,
    longest_side_px: int = 0,
) -> Frames:
    """Return some of the frames in memory and their sound: the arguments are those of `decode_clip`.

    Raises:
        UnreadableMedia: No frame is there.
    """
    start = Fraction(start_seconds)
    frames = source.frames[math.ceil(start * source.fps) :: every_nth]
    frames = frames[:count] if count else frames
    if not len(frames):
        raise UnreadableMedia(
            f"The video has no frame after {start_seconds:g} s; it has {len(source.frames)} frames.",
            hint="Start earlier.",
        )
    audio = sound_part(source.audio, start, len(frames) * every_nth / source.fps if count else None)
    height_px, width_px = frames.shape[1:3]
    longest = max(height_px, width_px)
    if longest_side_px and longest > longest_side_px:
        size = [max(1, round(side * longest_side_px / longest)) for side in (height_px, width_px)]
        smaller = _torch().nn.functional.interpolate(frames.movedim(-1, 1), size=size, mode="area")
        frames = smaller.movedim(1, -1).contiguous()
    return Frames(frames, source.fps / every_nth, audio)


def _finished(future: Future[None]) -> bool:
    """Tell whether a frame is converted; raise the error of its thread if there was one."""
    if not future.done():
        return False
    future.result()
    return True


def decode_sound(path: Path, *, stop: Stop | None = None) -> dict[str, Any] | None:
    """Return a clip's sound from its first picture on as ComfyUI's AUDIO, or None for a clip without sound.

    Raises:
        UnreadableMedia: The clip cannot be read.
        NotEnoughMemory: The sound would not fit into the memory that is free.
    """
    facts = probe_clip(path, stop=stop)
    if facts.sound is None:
        return None
    seconds = longest_sound(facts)
    require_memory(
        sound_memory_bytes(facts, seconds),
        f"{float(seconds):.0f} s of sound",
        "Cut the clip, or use the video output.",
    )
    with open_clip(path) as container:
        sound = SoundReader.of(
            container, facts, SoundFormat.as_is, origin=facts.picture_start, seconds=seconds
        )
        if sound is None:
            return None
        waves: list[np.ndarray] = []
        for packet in demuxed(container, sound.stream, stop=stop):
            for wave in sound.read(packet):
                check_stop(stop)
                waves.append(wave)
            if sound.is_done:
                break
        waves.extend(sound.finish())
    return _audio(sound, waves)


def _audio(sound: SoundReader | None, waves: list[np.ndarray]) -> dict[str, Any] | None:
    if sound is None or not waves:
        return None
    wave = np.concatenate(waves, axis=1)[None]
    return {"waveform": _torch().from_numpy(wave), "sample_rate": sound.form.rate_hz}


def _torch() -> Any:
    import torch  # noqa: PLC0415 - a plain install has no torch

    return torch
