"""Pictures and frames to files."""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

from ..errors import UnreadableMedia
from . import color as sws
from .bounds import encoded_bytes
from .container import check_stop
from .picture import StoppableFile
from .pixels import BATCH_AXES, as_array, to_8_bit
from .sound import SoundFormat, waveform, waveform_chunks
from .types import EncodedPicture, Frames
from .writer import ClipWriter, most_bits_per_second

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .types import OnProgress, Stop

_AHEAD = 3  # frames converted before the encoder asks
_WORKERS = max(1, (os.cpu_count() or 1) // 2)
"""Half the cores: one thread converts faster than x264 encodes, and on two cores a second one takes
its time from the encoder."""
_JPEG_QUALITIES = (95, 90, 85, 80)  # under 80 fewer pixels look better than coarser ones
_SHRINK = 0.85
_LIKELY_PNG_RATIO = 0.9  # of the raw size; noise does not get smaller
SCALED_TO_420 = sws.BICUBIC | sws.ACCURATE
TO_420 = sws.AREA | sws.ACCURATE | sws.FULL_CHROMA_INPUT
"""Pixels to 4:2:0: chroma is averaged over the pixels it stands for."""


def encode_pixels(
    pixels: np.ndarray,
    *,
    max_encoded_bytes: int,
    lossy: bool = False,
    profile: bytes | None = None,
    stop: Stop | None = None,
) -> EncodedPicture:
    """Return (H, W, 3) uint8 as a PNG, or as a JPEG (4:4:4) where a PNG would be too large.

    `max_encoded_bytes` counts the base64 text. JPEG quality goes down from 95 to 80 only as needed, then
    the pixels get fewer. `lossy` skips the attempt at PNG, for pixels that came from a JPEG. `profile` is
    the ICC profile that says what the numbers mean; None is sRGB. Raises `MediaStopped`.
    """
    check_stop(stop)
    image = Image.fromarray(pixels)
    if profile:
        image.info["icc_profile"] = profile
    most_bytes = max_encoded_bytes // 4 * 3
    if not lossy and pixels.nbytes * _LIKELY_PNG_RATIO <= 4 * most_bytes:
        data = _saved(image, "PNG", stop, compress_level=4)
        if encoded_bytes(len(data)) <= max_encoded_bytes:
            return EncodedPicture(data, "PNG", ())
    original = image.size
    while True:
        data = b""
        for quality in _JPEG_QUALITIES:
            data = _saved(image, "JPEG", stop, quality=quality, subsampling=0)
            if encoded_bytes(len(data)) <= max_encoded_bytes:
                return EncodedPicture(data, "JPEG", _told(quality, original, image.size))
            if len(data) > 4 * most_bytes:
                break  # lower quality cannot make up for that
        scale = min(_SHRINK, (most_bytes / len(data)) ** 0.5)
        width, height = (max(1, round(side * scale)) for side in image.size)
        check_stop(stop)
        image = image.resize((width, height), Image.Resampling.LANCZOS)  # keeps its ICC profile


def _told(quality: int, before: tuple[int, int], after: tuple[int, int]) -> tuple[str, ...]:
    saved = f"Saved as JPEG of quality {quality}."
    if before == after:
        return (saved,)
    sizes = f"{before[0]} x {before[1]} to {after[0]} x {after[1]} px"
    return (f"Scaled from {sizes} to stay under the size limit.", saved)


def _saved(image: Image.Image, form: str, stop: Stop | None, **options: int) -> bytes:
    buffer = io.BytesIO()
    target = cast("BinaryIO", StoppableFile(buffer, stop))
    image.save(target, form, icc_profile=image.info.get("icc_profile"), **options)
    return buffer.getvalue()


def encode_frames(
    frames: Frames,
    path: Path,
    *,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    size_px: tuple[int, int] | None = None,
    max_size_bytes: int = 0,
) -> None:
    """Write frames and sound as H.264/AAC MP4: BT.709, constant rate, index at the front.

    Odd sides lose their last row or column, sound is cut at the last frame's end, and memory stays
    flat whatever the length. `size_px` scales to that (even) width and height; `max_size_bytes` caps
    the file by a bitrate (0: no cap). Raises `UnreadableMedia` for frames of a wrong shape and
    `MediaStopped` when `stop` says so; the file is removed then.
    """
    count, height_px, width_px = checked_shape(frames)
    rate = Fraction(frames.fps)
    seconds = count / rate
    wave, form = _sound_of(frames, seconds)
    even_px = (width_px - width_px % 2, height_px - height_px % 2)
    writer = ClipWriter(
        path,
        width_px=(size_px or even_px)[0],
        height_px=(size_px or even_px)[1],
        rate=rate,
        sound=form,
        most_bits_per_second=most_bits_per_second(max_size_bytes, float(seconds), form)
        if max_size_bytes
        else 0,
    )
    with writer:
        chunks = iter(()) if wave is None or form is None else waveform_chunks(wave, _rate(frames), form)
        samples_written = 0
        for number, picture in enumerate(converted(frames, stop, size_px or even_px)):
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
    """Return (count, height, width) of frames that can be encoded. Raises `UnreadableMedia`."""
    shape = tuple(int(side) for side in frames.frames.shape)
    if len(shape) != BATCH_AXES or shape[3] not in {1, 3, 4} or 0 in shape:
        raise UnreadableMedia(
            f"Frames have the shape (count, height, width, 1, 3 or 4 channels); these have {shape}.",
            hint="Wire an IMAGE output with at least one frame.",
        )
    if min(shape[1:3]) < 2:  # noqa: PLR2004 - 4:2:0 needs two pixels a side
        raise UnreadableMedia(f"Frames of {shape[2]} x {shape[1]} px are too small for a video.")
    if frames.fps <= 0:
        raise UnreadableMedia(f"{frames.fps} frames per second is no rate.", hint="Set fps above 0.")
    return shape[0], shape[1], shape[2]


def converted(frames: Frames, stop: Stop | None, size_px: tuple[int, int]) -> Iterator[VideoFrame]:
    """Yield every frame as yuv420p BT.709 of `size_px`, converted some ahead in threads.

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
            interpolation=SCALED_TO_420 if size_px != (width_px, height_px) else TO_420,
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


def _rate(frames: Frames) -> int:
    return int(frames.audio["sample_rate"]) if frames.audio else 0


def _sound_of(frames: Frames, seconds: Fraction) -> tuple[np.ndarray | None, SoundFormat | None]:
    if frames.audio is None:
        return None, None
    wave, rate_hz = waveform(frames.audio)
    wave = wave[:, : round(seconds * rate_hz)]
    if not wave.size or rate_hz <= 0:
        return None, None
    return wave, SoundFormat.for_aac(rate_hz, wave.shape[0])
