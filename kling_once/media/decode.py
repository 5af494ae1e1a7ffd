"""A clip to frames and sound, in one array that is allocated once."""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from av.error import InvalidDataError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ..errors import UnreadableMedia
from . import color as sws
from .container import (
    check_stop,
    open_clip,
    picture_stream,
    sound_stream,
    tick,
)
from .geometry import Turn
from .memory import populate, require_memory
from .probe import probe_clip
from .sound import (
    SoundFormat,
    SoundReader,
    longest_sound,
    sound_memory_bytes,
)
from .types import ClipFacts, Frames
from .writer import threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

    from .types import OnProgress, Stop


_WORKERS = 2
_AHEAD = 4  # decoded frames that wait for a worker
_CHANNELS = 3
_PLANES = (2, 0, 1)  # gbrp stores green, blue, red
_LARGEST_14_BIT = np.float32(16383)  # 14 bits: half as long in FFmpeg as 16, and 0.02 of 255 off at most
_BAND_ROWS = 64  # handled at a time, so that a row is still in the processor's cache at its next step
_SMOOTH = sws.BILINEAR | sws.ACCURATE | sws.FULL_CHROMA
_SMALLER = sws.AREA | sws.ACCURATE | sws.FULL_CHROMA


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which frames are wanted, and how large."""

    start: Fraction
    """Seconds after the first frame."""
    room: int
    """The most frames there can be."""
    every_nth: int
    width_px: int
    height_px: int
    """As displayed, after scaling."""


def frames_memory_bytes(
    facts: ClipFacts,
    *,
    start_seconds: Fraction | float = 0,
    count: int = 0,
    every_nth: int = 1,
    longest_side_px: int = 0,
) -> int:
    """Return the bytes that `decode_clip` would allocate for the frames: 12 for every pixel."""
    wanted = _selection(facts, Fraction(start_seconds), count, every_nth, longest_side_px)
    return wanted.room * wanted.width_px * wanted.height_px * _CHANNELS * 4


def decode_clip(
    path: Path,
    *,
    start_seconds: Fraction | float = 0,
    count: int = 0,
    every_nth: int = 1,
    longest_side_px: int = 0,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Frames:
    """Return frames (T, H, W, 3) float32 in 0..1 upright, and the sound from the first of them on.

    `start_seconds` counts from the first frame; `count` 0 is all; `every_nth` 2 takes every second
    frame and halves fps; `longest_side_px` 0 keeps the size, otherwise larger clips get smaller.
    With `count` the sound ends with the last frame. HDR is not tone mapped here (conform does that).
    Raises `UnreadableMedia`, `NotEnoughMemory` before anything is allocated, and `MediaStopped`.
    """
    if start_seconds < 0 or count < 0 or every_nth < 1 or longest_side_px < 0:
        raise ValueError("start, count and longest side are at least 0, every_nth at least 1")
    path = Path(path)
    facts = probe_clip(path, stop=stop)
    wanted = _selection(facts, Fraction(start_seconds), count, every_nth, longest_side_px)
    if not wanted.room:
        raise UnreadableMedia(
            f"{path.name} has no frame after {float(start_seconds):g} s; it is "
            f"{facts.picture_duration_seconds:.2f} s long.",
            hint="Start earlier.",
        )
    needed = frames_memory_bytes(
        facts,
        start_seconds=start_seconds,
        count=count,
        every_nth=every_nth,
        longest_side_px=longest_side_px,
    )
    sound_seconds = _sound_seconds(facts, wanted, cut=bool(count))
    require_memory(
        needed + sound_memory_bytes(facts, sound_seconds),
        f"{wanted.room} frames of {wanted.width_px} x {wanted.height_px} px",
        "Take fewer frames (count, every n-th) or smaller ones (longest side), or use the video output.",
    )
    with open_clip(path) as container:
        decoding = _Decoding(container, path, facts, wanted, sound_seconds, stop)
        return decoding.run(on_progress)


def sound_format(stream: AudioStream) -> SoundFormat:
    """Return the form in which a track's sound is handed over: its own rate and channels."""
    return SoundFormat.as_is(stream.codec_context.sample_rate, stream.codec_context.layout.nb_channels)


def _selection(
    facts: ClipFacts, start: Fraction, count: int, every_nth: int, longest_side_px: int
) -> _Selection:
    skipped = 0 if facts.is_variable_rate else math.ceil(start * facts.frame_rate - Fraction(1, 1000))
    room = math.ceil(max(0, facts.frame_count - skipped) / every_nth)
    if facts.is_variable_rate and start >= facts.picture_duration_seconds:
        room = 0
    width_px, height_px = facts.width_px, facts.height_px
    longest = max(width_px, height_px)
    if longest_side_px and longest > longest_side_px:
        width_px, height_px = (
            max(1, round(side * longest_side_px / longest)) for side in (width_px, height_px)
        )
    return _Selection(start, min(room, count) if count else room, every_nth, width_px, height_px)


def _sound_seconds(facts: ClipFacts, wanted: _Selection, *, cut: bool) -> Fraction:
    if cut:
        return wanted.room * wanted.every_nth / facts.frame_rate
    return max(Fraction(0), longest_sound(facts) - wanted.start)


class _Decoding:
    """One run over one clip."""

    def __init__(
        self,
        container: InputContainer,
        path: Path,
        facts: ClipFacts,
        wanted: _Selection,
        sound_seconds: Fraction,
        stop: Stop | None,
    ) -> None:
        self.path, self.facts, self.wanted, self.stop = path, facts, wanted, stop
        self.container = container
        self.video = picture_stream(container, path)
        self.video.codec_context.thread_type = "AUTO"
        self.video.codec_context.thread_count = threads()
        self.first = Fraction(facts.picture_start_seconds).limit_denominator(1_000_000)
        self.turn = Turn(facts.rotation_degrees, facts.is_mirrored)
        self.reader = self._reader(sound_seconds)
        self.waves: list[np.ndarray] = []
        # torch asks for no huge pages: in a virtual machine that gives freed memory back, numpy's take 2 to 5
        # times as long to fill, and elsewhere they save little beside the decoding
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

        taken = 0
        with ThreadPoolExecutor(_WORKERS, "kling-once-decode") as pool:
            for frame in self._selected():
                slots.acquire()
                waiting = [future for future in waiting if not _finished(future)]
                waiting.append(pool.submit(fill, frame, taken))
                taken += 1
                if on_progress:
                    on_progress(taken, self.wanted.room)
        for future in waiting:
            future.result()
        if not taken:
            raise UnreadableMedia(f"No frame of {self.path.name} can be decoded from there on.")
        fps = self.facts.frame_rate / self.wanted.every_nth
        return Frames(self.tensor[:taken], fps, self._audio())

    def _selected(self) -> Iterator[VideoFrame]:
        """Yield the wanted frames; sound is collected on the way."""
        begin = self.first + self.wanted.start
        half_a_frame = 1 / self.facts.frame_rate / 2 if not self.facts.is_variable_rate else Fraction(0)
        number = taken = 0
        for packet in self._packets(begin):
            check_stop(self.stop)
            if packet.stream is not self.video:
                self._hear(packet)
                continue
            if taken >= self.wanted.room:
                if self.reader is None or self.reader.is_done:
                    return
                continue
            for frame in _pictures(packet):
                at = _shown_at(frame)
                if at is not None and at < begin - half_a_frame:
                    continue
                if number % self.wanted.every_nth == 0 and taken < self.wanted.room:
                    yield frame
                    taken += 1
                number += 1

    def _packets(self, begin: Fraction) -> Iterator[Packet]:
        streams = [self.video] if self.reader is None else [self.video, self.reader.stream]
        if self.wanted.start:
            self.container.seek(int(begin / tick(self.video)), stream=self.video, backward=True)
        return self.container.demux(*streams)

    def _reader(self, seconds: Fraction) -> SoundReader | None:
        stream = sound_stream(self.container)
        if stream is None or self.facts.sound is None:
            return None
        origin = self.first + self.wanted.start
        return SoundReader(stream, sound_format(stream), origin=origin, seconds=seconds)

    def _hear(self, packet: Packet) -> None:
        if self.reader is not None and not self.reader.is_done:
            for wave in self.reader.read(packet):
                check_stop(self.stop)
                self.waves.append(wave)

    def _audio(self) -> dict[str, Any] | None:
        if self.reader is None:
            return None
        self.waves.extend(self.reader.finish())
        if not self.waves:
            return None
        wave = np.concatenate(self.waves, axis=1)[None]
        return {"waveform": _torch().from_numpy(wave), "sample_rate": self.reader.form.rate_hz}

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
            interpolation=_SMOOTH if same_size else _SMALLER,
        )
        planes = []
        for plane_number in _PLANES:
            plane = planar.planes[plane_number]
            data: Any = plane  # a buffer, which its type stub does not say
            values = np.frombuffer(data, np.uint16).reshape(height_px, plane.line_size // 2)[:, :width_px]
            planes.append(self.turn.applied(values))
        for top in range(0, len(target), _BAND_ROWS):
            rows = slice(top, top + _BAND_ROWS)
            band = target[rows]
            populate(band)
            for channel, plane in enumerate(planes):
                band[..., channel] = plane[rows]
            np.divide(band, _LARGEST_14_BIT, out=band)


def _pictures(packet: Packet) -> list[VideoFrame]:
    try:
        return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
    except InvalidDataError:
        return []  # one damaged frame does not spoil a clip


def _shown_at(frame: VideoFrame) -> Fraction | None:
    time = frame.pts if frame.pts is not None else frame.dts
    return None if time is None or not frame.time_base else time * frame.time_base


def _finished(future: Future[None]) -> bool:
    """Tell whether a frame is done; an error in its thread is raised here."""
    if not future.done():
        return False
    future.result()
    return True


def _torch() -> Any:
    import torch  # noqa: PLC0415 - a plain install has no torch

    return torch


def decode_sound(path: Path, *, stop: Stop | None = None) -> dict[str, Any] | None:
    """Return ComfyUI's AUDIO, in step with the first picture, or None for a clip without sound.

    Raises:
        UnreadableMedia, MediaStopped: as `decode_clip`.
    """
    facts = probe_clip(path, stop=stop)
    if facts.sound is None:
        return None
    with open_clip(path) as container:
        stream = sound_stream(container)
        if stream is None:
            return None
        origin = Fraction(facts.picture_start_seconds).limit_denominator(1_000_000)
        seconds = longest_sound(facts)
        require_memory(
            sound_memory_bytes(facts, seconds),
            f"{float(seconds):.0f} s of sound",
            "Cut the clip, or use the video output.",
        )
        reader = SoundReader(stream, sound_format(stream), origin=origin, seconds=seconds)
        waves: list[np.ndarray] = []
        for packet in container.demux(stream):
            check_stop(stop)
            for wave in reader.read(packet):
                check_stop(stop)
                waves.append(wave)
            if reader.is_done:
                break
        waves.extend(reader.finish())
    if not waves:
        return None
    import torch  # noqa: PLC0415 - a plain install has no torch

    return {
        "waveform": torch.from_numpy(np.concatenate(waves, axis=1)[None]),
        "sample_rate": reader.form.rate_hz,
    }
