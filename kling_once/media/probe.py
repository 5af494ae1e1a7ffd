"""What a picture or a clip is, measured rather than believed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Any

import av
from av.error import InvalidDataError

from ..errors import UnreadableMedia
from .color import (
    PRIMARIES,
    RANGES,
    SPACES,
    TRANSFERS,
    UNKNOWN,
)
from .container import (
    check_stop,
    file_status,
    open_clip,
    picture_stream,
    sound_stream,
    tick,
)
from .geometry import Turn, turn_of
from .picture import ORIENTATION_TAG, PictureFile, file_bytes, open_picture
from .timeline import Timeline
from .types import ClipFacts, PictureFacts, SoundFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.codec.codec import Codec
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from .types import Stop

_PNG_HEAD_BYTES = 25  # signature, length, "IHDR", width, height, bit depth (PNG specification, 11.2.2)
_DECODERS = {"libdav1d": "av1", "mp3float": "mp3", "libvpx-vp9": "vp9", "libopus": "opus"}
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap the sides
_DECODE_TRIES = 250  # packets; a recording may begin between two key frames
_MAY_END_EARLY_SECONDS = 1.0
_STOP_EVERY = 64  # packets


def probe_picture(source: Path | bytes | PictureFile, *, stop: Stop | None = None) -> PictureFacts:
    """Measure a picture file; all of its first frame is decoded, so damage shows.

    Raises `UnreadableMedia` for anything that is not an intact picture, `MediaStopped`.
    """
    size_bytes = _file_size(source) if isinstance(source, Path | str) else len(file_bytes(source))
    with open_picture(source, stop) as image:
        orientation = int(image.getexif().get(ORIENTATION_TAG) or 1)
        orientation = orientation if orientation in range(1, 9) else 1
        width_px, height_px = reversed(image.size) if orientation in _TURNED else image.size
        mode = str(image.mode)
        return PictureFacts(
            format="JPEG" if image.format == "MPO" else str(image.format),
            width_px=width_px,
            height_px=height_px,
            size_bytes=size_bytes,
            has_alpha=image.has_transparency_data,
            mode=mode,
            frame_count=1 if image.format == "MPO" else int(getattr(image, "n_frames", 1)),
            exif_orientation=orientation,
            bit_depth=_bit_depth(source, mode),
        )


def _bit_depth(source: Path | bytes | PictureFile, mode: str) -> int:
    """Return the bits per channel; Pillow shows 16-bit colour as 8-bit, a PNG's header does not."""
    if isinstance(source, Path | str):
        with Path(source).open("rb") as file:
            head = file.read(_PNG_HEAD_BYTES)
    else:
        head = file_bytes(source)[:_PNG_HEAD_BYTES]
    if head.startswith(b"\x89PNG") and len(head) == _PNG_HEAD_BYTES:
        return head[-1]
    return 1 if mode == "1" else 16 if mode.startswith("I") else 8


def _file_size(path: Path | str) -> int:
    path = Path(path)
    status = file_status(path)
    if S_ISDIR(status.st_mode):
        raise UnreadableMedia(f"{path} is a folder, not a picture.", hint="Choose a JPEG or PNG file.")
    if not status.st_size:
        raise UnreadableMedia(f"{path.name} is empty (0 bytes).", hint="Export or download it again.")
    return status.st_size


@dataclass(slots=True)
class _Reading:
    """What one pass over all packets of a clip has found."""

    pictures: Timeline
    sound: Timeline | None
    ends_seconds: float = 0.0
    frame: VideoFrame | None = None
    tries: int = 0
    encrypted: bool = False
    last_is_partial: bool = False


def probe_clip(path: Path, *, stop: Stop | None = None) -> ClipFacts:
    """Measure a clip: every packet is read and the first frame is decoded.

    Raises `UnreadableMedia` for an empty, truncated or encrypted file, for a still picture and for one
    without pictures, `MediaStopped` when `stop` says so.
    """
    path = Path(path)
    with open_clip(path) as container:
        if container.format.name == "image2" or container.format.name.endswith("_pipe"):
            raise UnreadableMedia(f"{path.name} is a picture, not a clip.", hint="Choose a video file.")
        video = picture_stream(container, path)
        audio = sound_stream(container)
        video.codec_context.thread_count = 1  # one frame is decoded; more threads only cost memory
        reading = _read_packets(container, video, audio, stop)
        if reading.encrypted:
            raise UnreadableMedia(
                f"{path.name} is encrypted (copy protection).", hint="Use a clip without protection."
            )
        if reading.frame is None or not reading.pictures.count:
            raise UnreadableMedia(
                f"No picture of {path.name} can be decoded.", hint="Export or download it again."
            )
        _refuse_truncated(path, container, video, reading)
        return _clip_facts(path, container, video, audio, reading)


def _read_packets(
    container: InputContainer, video: VideoStream, audio: AudioStream | None, stop: Stop | None
) -> _Reading:
    reading = _Reading(Timeline(tick(video)), Timeline(tick(audio)) if audio else None)
    for number, packet in enumerate(container.demux()):
        if number % _STOP_EVERY == 0:
            check_stop(stop)
        if not packet.size:
            if packet.stream is video and reading.frame is None:
                _decode_first(packet, reading)
            continue
        if packet.stream is video:
            if not reading.pictures.count:
                reading.encrypted = _is_encrypted(packet)
            reading.pictures.add(packet)
            if reading.frame is None and reading.tries < _DECODE_TRIES:
                _decode_first(packet, reading)
        elif audio is not None and packet.stream is audio and reading.sound is not None:
            reading.sound.add(packet)
        _note_end(packet, reading)
    return reading


def _is_encrypted(packet: Packet) -> bool:
    """Tell whether a packet says so; PyAV 14 cannot tell, and then no picture can be decoded."""
    return hasattr(packet, "has_sidedata") and packet.has_sidedata("encryption_info")


def _decode_first(packet: Packet, reading: _Reading) -> None:
    reading.tries += 1
    try:
        frames = packet.decode()
    except InvalidDataError:
        return
    reading.frame = next(iter(frames), None)


def _note_end(packet: Packet, reading: _Reading) -> None:
    reading.last_is_partial = packet.is_corrupt
    if packet.pts is None or not packet.time_base:
        return
    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
    reading.ends_seconds = max(reading.ends_seconds, end)


def _refuse_truncated(path: Path, container: InputContainer, video: VideoStream, reading: _Reading) -> None:
    declared_seconds = (container.duration or 0) / av.time_base
    missing_seconds = declared_seconds - reading.ends_seconds
    frames_missing = video.frames > reading.pictures.seen
    if (
        missing_seconds > _MAY_END_EARLY_SECONDS
        or (frames_missing and reading.pictures.is_broken_off(video))
        or (reading.last_is_partial and container.format.name != "mpegts")
    ):
        raise UnreadableMedia(
            f"{path.name} is cut off: its header announces {declared_seconds:.1f} s, but only "
            f"{reading.pictures.seen} frames ({float(reading.pictures.span(video)):.1f} s) are there.",
            hint="Copy, export or download it again.",
        )


def _clip_facts(
    path: Path,
    container: InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    reading: _Reading,
) -> ClipFacts:
    frame, pictures = reading.frame, reading.pictures
    assert frame is not None  # noqa: S101 - for the type checker; the caller has refused it
    context = video.codec_context
    codec = _codec_name(context.codec)
    turn = turn_of(frame, codec)
    width_px, height_px = displayed_size(frame, video.sample_aspect_ratio, turn)
    container_seconds = _container_seconds(container, reading)
    components = frame.format.components
    return ClipFacts(
        container=_container_name(path, container),
        video_codec=codec,
        pixel_format=frame.format.name,
        bit_depth=max((part.bits for part in components), default=8),
        color_primaries=PRIMARIES.get(int(context.color_primaries), UNKNOWN),
        color_transfer=TRANSFERS.get(int(context.color_trc), UNKNOWN),
        color_space=SPACES.get(int(context.colorspace), UNKNOWN),
        color_range=RANGES.get(int(frame.color_range), RANGES.get(int(context.color_range), UNKNOWN)),
        rotation_degrees=turn.degrees,
        is_mirrored=turn.mirrored,
        is_interlaced=bool(frame.interlaced_frame),
        width_px=width_px,
        height_px=height_px,
        stored_width_px=frame.width,
        stored_height_px=frame.height,
        frame_rate=pictures.rate(video),
        is_variable_rate=pictures.is_variable,
        duration_seconds=max(container_seconds, float(pictures.span(video))),
        container_duration_seconds=container_seconds,
        picture_duration_seconds=float(pictures.span(video)),
        picture_start_seconds=float(pictures.start),
        frame_count=pictures.count,
        sound=_sound_facts(audio, reading),
        size_bytes=path.stat().st_size,
        peak_frame_rate=pictures.peak_rate() if pictures.is_variable else None,
    )


def _codec_name(codec: Codec) -> str:
    """Return the codec's own name, not its decoder's."""
    name = str(getattr(codec, "canonical_name", codec.name))  # PyAV 14.0 knows only the decoder
    return _DECODERS.get(name, name)


def _container_seconds(container: InputContainer, reading: _Reading) -> float:
    """Return the header's duration; Matroska's counts from 0 even where the first frame comes later."""
    declared_seconds = (container.duration or 0) / av.time_base
    start_seconds = (container.start_time or 0) / av.time_base
    counts_from_zero = abs(declared_seconds - reading.ends_seconds) < start_seconds / 2
    if counts_from_zero and not container.format.name.startswith("mov,mp4"):
        return declared_seconds - start_seconds
    return declared_seconds


def displayed_size(frame: VideoFrame, sample_aspect: Any, turn: Turn) -> tuple[int, int]:
    """Return (width, height) in pixels as a player shows the frame: square pixels, turned.

    `sample_aspect` is a fraction; None, and from PyAV 19 on 0, where the clip does not say.
    """
    width_px = round(frame.width * sample_aspect) if sample_aspect else frame.width
    return (frame.height, width_px) if turn.degrees in {90, 270} else (width_px, frame.height)


def _sound_facts(audio: AudioStream | None, reading: _Reading) -> SoundFacts | None:
    if audio is None or reading.sound is None or not reading.sound.count:
        return None
    context = audio.codec_context
    return SoundFacts(
        codec=_codec_name(context.codec),
        sample_rate_hz=context.sample_rate,
        channels=context.layout.nb_channels,
        duration_seconds=float(reading.sound.span(audio)),
    )


def _container_name(path: Path, container: InputContainer) -> str:
    name = container.format.name
    if name == "matroska,webm":
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "matroska"
    if not name.startswith("mov,mp4"):
        return name.split(",")[0]
    brand = container.metadata.get("major_brand", "qt")
    if brand.startswith("3g"):
        return "3gp"
    return "mov" if brand.startswith("qt") else "mp4"
