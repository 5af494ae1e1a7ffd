"""Frames and sound to one MP4: H.264 and AAC, BT.709, constant rate, index at the front."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ..errors import UnreadableMedia
from . import color as sws
from .frame_folder import FrameFolder
from .picture import BATCH_AXES, as_array, require_tensor, to_8_bit
from .sound import SoundFormat, waveform, waveform_chunks
from .source import check_stop, codec_threads, translating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import OutputContainer
    from av.packet import Packet

    from .types import Frames, OnProgress, Stop

_X264 = {"preset": "superfast", "crf": "19", "bf": "0", "a53cc": "0"}
"""1.7 dB better than x264's defaults in a quarter of their time. Without B-frames every reader, also one that
ignores edit lists, sees the first frame at 0 and the same duration. Captions (A/53) are no pictures."""
_MARGIN = 0.95  # of the byte limit: the rest is for the container and the encoder's overshoot
_AHEAD = 3  # frames converted before the encoder asks
_WORKERS = max(1, (os.cpu_count() or 1) // 2)
"""Half the cores: one thread converts faster than x264 encodes, and on two cores a second one takes
its time from the encoder."""
_SCALED_TO_420 = sws.BICUBIC | sws.ACCURATE
_TO_420 = sws.AREA | sws.ACCURATE | sws.FULL_CHROMA_INPUT
"""RGB to 4:2:0 without scaling: chroma is averaged over the pixels it stands for."""


class SoundTrack:
    """The AAC track of an MP4 that is being written."""

    def __init__(self, container: OutputContainer, form: SoundFormat) -> None:
        self._form = form
        self._samples = 0
        self._stream: Any = container.add_stream("aac", rate=form.rate_hz)
        context = self._stream.codec_context
        context.layout = form.layout
        context.format = "fltp"
        context.bit_rate = form.bit_rate

    def encode(self, wave: np.ndarray) -> list[Packet]:
        """Return the packets that the next (channels, samples) float32 complete."""
        frame = self._form.frame(wave, self._samples)
        self._samples += wave.shape[1]
        return self._stream.encode(frame)

    def finish(self) -> list[Packet]:
        """Return the packets that the encoder still holds."""
        return self._stream.encode(None)


class ClipWriter:
    """The picture and sound tracks of an MP4 that is being written."""

    def __init__(
        self,
        container: OutputContainer,
        path: Path,
        size_px: tuple[int, int],
        rate: Fraction,
        sound: SoundFormat | None,
        most_bits_per_second: int,
    ) -> None:
        self.frames_written = 0
        self._path, self._container, self._rate = path, container, rate
        self._video: Any = container.add_stream("libx264", rate=rate)
        self._video.width, self._video.height = size_px
        self._video.pix_fmt = "yuv420p"
        self._video.time_base = 1 / rate
        context = self._video.codec_context
        context.time_base = 1 / rate
        context.thread_count = codec_threads()
        _tag_bt709(context)
        limit = str(most_bits_per_second)
        cap = {"maxrate": limit, "bufsize": limit} if most_bits_per_second else {}
        self._video.options = {**_X264, **cap}
        self._sound = SoundTrack(container, sound) if sound is not None else None

    def picture(self, frame: VideoFrame) -> None:
        """Write the next frame: yuv420p, BT.709, of the clip's size."""
        frame.pts = self.frames_written
        frame.time_base = 1 / self._rate
        frame.pict_type = 0  # the encoder decides about key frames, not the source
        _tag_bt709(frame)
        self.frames_written += 1
        with translating(self._path):
            self._container.mux(self._video.encode(frame))

    def sound(self, wave: np.ndarray) -> None:
        """Write the next samples, (channels, samples) float32 in -1..1, of the format given at the start."""
        assert self._sound is not None  # noqa: S101 - for the type checker: only a clip with sound gets here
        with translating(self._path):
            self._container.mux(self._sound.encode(wave))

    def finish(self) -> None:
        """Write what the encoders still hold, and the index."""
        with translating(self._path):
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.finish())
            self._container.close()


@contextmanager
def writing_clip(
    path: Path,
    *,
    size_px: tuple[int, int],
    rate: Fraction,
    sound: SoundFormat | None = None,
    most_bits_per_second: int = 0,
) -> Iterator[ClipWriter]:
    """Write pictures and sound as they come; an error in the block removes the file.

    Args:
        path: The file; an existing one is replaced.
        size_px: Width and height, even numbers.
        rate: Frames per second.
        sound: The format of the samples; None without sound.
        most_bits_per_second: Limit of the picture track's bitrate; 0 is none.

    Raises:
        UnreadableMedia: FFmpeg cannot write the file.
        DiskFull: There is no room for it.
    """
    with ExitStack() as opened:
        opened.callback(path.unlink, missing_ok=True)
        with translating(path):
            container = open_mp4(path)
            opened.callback(_close_quietly, container)
            writer = ClipWriter(container, path, size_px, rate, sound, most_bits_per_second)
        yield writer
        writer.finish()
        opened.pop_all()


def _close_quietly(container: OutputContainer) -> None:
    with suppress(FFmpegError, ValueError):  # the file is removed anyway; the first error is raised
        container.close()


def open_mp4(path: Path) -> OutputContainer:
    """Open a file for writing as MP4 with its index at the front."""
    return av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"})


def most_bits_per_second(max_size_bytes: int, seconds: float, sound: SoundFormat | None) -> int:
    """Return the picture bitrate at which a clip of that length stays under `max_size_bytes`.

    The encoder may run one second ahead of its rate (its buffer), which counts as one second more.
    """
    sound_bits = sound.bit_rate * seconds if sound else 0
    return max(100_000, int((max_size_bytes * 8 * _MARGIN - sound_bits) / (seconds + 1)))


def _tag_bt709(target: Any) -> None:
    """Mark a frame or a codec context as BT.709, limited range."""
    for name in ("color_primaries", "color_trc", "colorspace"):
        if hasattr(target, name):  # PyAV 14's frames have only the last; the codec context has all
            setattr(target, name, sws.BT709)
    target.color_range = sws.LIMITED


def encode_frames(
    frames: Frames,
    path: Path,
    *,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    size_px: tuple[int, int] | None = None,
    max_size_bytes: int = 0,
) -> None:
    """Write frames and sound as H.264/AAC MP4; memory stays flat whatever the length.

    Odd sides lose their last row or column, and sound is cut at the last frame's end. The file is removed
    on failure.

    Args:
        frames: What to write.
        path: The file; an existing one is replaced.
        stop: Asked before each frame.
        on_progress: Called after each frame.
        size_px: Even width and height to scale to; None keeps the size.
        max_size_bytes: Limits the file's size through the bitrate; 0 is no limit.

    Raises:
        UnreadableMedia: Frames of a wrong shape, or FFmpeg cannot write the file.
        DiskFull: There is no room for the file.
    """
    count, height_px, width_px = checked_shape(frames)
    rate = Fraction(frames.fps)
    seconds = count / rate
    form, chunks = _sound_of(frames, seconds)
    size_px = size_px or (width_px - width_px % 2, height_px - height_px % 2)
    limit = most_bits_per_second(max_size_bytes, float(seconds), form) if max_size_bytes else 0
    with writing_clip(path, size_px=size_px, rate=rate, sound=form, most_bits_per_second=limit) as writer:
        samples_written = 0
        for number, picture in enumerate(_converted(frames, stop, size_px)):
            writer.picture(picture)
            while form and samples_written <= number / rate * form.rate_hz:
                chunk = next(chunks, None)
                if chunk is None:
                    break
                writer.sound(chunk)
                samples_written += chunk.shape[1]
            if on_progress:
                on_progress(number + 1, count)
        for chunk in chunks:
            writer.sound(chunk)


def checked_shape(frames: Frames) -> tuple[int, int, int]:
    """Return (count, height_px, width_px) of frames that can be encoded.

    Raises:
        UnreadableMedia: No frames, another number of axes or channels, a side under 2 px, or fps not above 0.
    """
    way_out = "Wire an IMAGE output with at least one frame."
    if not isinstance(frames.frames, FrameFolder):
        require_tensor(frames.frames, "A clip of frames", way_out)
    shape = tuple(int(side) for side in frames.frames.shape)
    if len(shape) != BATCH_AXES or shape[3] not in {1, 3, 4} or 0 in shape:
        raise UnreadableMedia(
            f"Frames have the shape (count, height, width, 1, 3 or 4 channels); these have {shape}.",
            hint=way_out,
        )
    if min(shape[1:3]) < 2:  # noqa: PLR2004 - 4:2:0 needs two pixels a side
        raise UnreadableMedia(f"Frames of {shape[2]} x {shape[1]} px are too small for a video.")
    if frames.fps <= 0:
        raise UnreadableMedia(f"{frames.fps} frames per second is no rate.", hint="Set fps above 0.")
    return shape[0], shape[1], shape[2]


def _converted(frames: Frames, stop: Stop | None, size_px: tuple[int, int]) -> Iterator[VideoFrame]:
    """Yield every frame as yuv420p BT.709 of `size_px`, converted ahead in threads.

    An odd last row or column is cut off first.
    """
    local = threading.local()

    def convert(number: int) -> VideoFrame:
        values = as_array(frames.frames[number])
        height_px, width_px = (side - side % 2 for side in values.shape[:2])
        values = values[:height_px, :width_px]
        if not hasattr(local, "reformatter"):
            local.reformatter = VideoReformatter()
        pixels = to_8_bit(values)
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        return local.reformatter.reformat(
            picture,
            width=size_px[0],
            height=size_px[1],
            format="yuv420p",
            dst_colorspace=sws.ITU_709,
            dst_color_range="MPEG",
            interpolation=_SCALED_TO_420 if size_px != (width_px, height_px) else _TO_420,
        )

    waiting: deque[Future[VideoFrame]] = deque()
    with ThreadPoolExecutor(_WORKERS, "kling-once-encode") as pool:
        try:
            for number in range(len(frames.frames)):
                check_stop(stop)
                waiting.append(pool.submit(convert, number))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                check_stop(stop)
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _sound_of(frames: Frames, seconds: Fraction) -> tuple[SoundFormat | None, Iterator[np.ndarray]]:
    if frames.audio is None:
        return None, iter(())
    wave, rate_hz = waveform(frames.audio)
    wave = wave[:, : round(seconds * rate_hz)]
    if not wave.size or rate_hz <= 0:
        return None, iter(())
    form = SoundFormat.for_aac(rate_hz, wave.shape[0])
    return form, waveform_chunks(wave, rate_hz, form)
