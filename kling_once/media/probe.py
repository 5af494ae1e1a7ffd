"""Measure a clip from its packets and its first frame rather than believe its header."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.frame import VideoFrame

from ..errors import UnreadableMedia
from .color import PRIMARIES, RANGES, SPACES, TRANSFERS, UNKNOWN
from .private_boxes import container_colors, private_parts
from .reader import decoded, demuxed
from .source import (
    has_presentation_times,
    open_clip,
    picture_stream,
    sound_stream,
    tick,
)
from .timeline import Timeline
from .types import ClipFacts, SoundFacts
from .user_data import USER_DATA, UserData

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.codec.codec import Codec
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from .types import Stop

_DECODERS = {"libdav1d": "av1", "mp3float": "mp3", "libvpx-vp9": "vp9", "libopus": "opus"}
_DECODE_TRIES = 250  # packets; a recording may begin between two key frames
_ROUGH_DECODING = {"skip_loop_filter": "all", "skip_idct": "all"}  # for a frame's shape and marks alone
_LARGEST_ASPECT = 10  # of a stored pixel's sides; anamorphic film has 2
_UNSPECIFIED = 2  # ITU-T H.273
_MAY_END_EARLY_SECONDS = 1.0
_MOST_HIDDEN_SOUND_SECONDS = 0.1  # an encoder's first two or three packets, which only warm its filter up
_MATRIX = struct.Struct("=9i")  # AV_PKT_DATA_DISPLAYMATRIX (libavutil/display.h)
_NAMED_PROFILES = frozenset({"png", "apng"})
"""Codecs whose colour profile has a name, which PyAV frees twice once a frame's side data are read."""


@dataclass(slots=True)
class _Reading:
    """The findings of one pass over all packets of a clip."""

    pictures: Timeline
    sound: Timeline | None
    ends_seconds: float = 0.0
    frame: VideoFrame | None = None
    tries: int = 0
    encrypted: bool = False
    last_is_partial: bool = False
    packet_bytes: int = 0
    has_user_data: bool = False


def probe_clip(path: Path, *, stop: Stop | None = None) -> ClipFacts:
    """Measure a clip: every packet is read and the first frame is decoded.

    Raises:
        UnreadableMedia: An empty, truncated or encrypted file, a still picture, or no moving picture.
    """
    path = Path(path)
    with open_clip(path) as container:
        if container.format.name == "image2" or container.format.name.endswith("_pipe"):
            raise UnreadableMedia(f"{path.name} is a picture, not a clip.", hint="Choose a video file.")
        video = picture_stream(container, path)
        audio = sound_stream(container)
        video.codec_context.thread_count = 1  # only one frame is decoded
        video.codec_context.options = _ROUGH_DECODING
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
    is_dated = has_presentation_times(container)
    head = video.codec_context.extradata or b""
    user_data = UserData.of(_codec_name(video.codec_context.codec), head)
    reading = _Reading(Timeline(tick(video), is_dated), Timeline(tick(audio)) if audio else None)
    if user_data is not None:
        reading.has_user_data = user_data.removed_from_head(head) is not head
    for packet in demuxed(container, stop=stop):
        if not packet.size:
            if packet.stream is video and reading.frame is None:
                _decode_first(packet, reading)
            continue
        reading.packet_bytes += packet.size
        if packet.stream is video:
            if user_data is not None and not reading.has_user_data:
                data = bytes(packet)
                reading.has_user_data = user_data.removed(data) is not data
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
    """Tell whether a packet is marked so; PyAV 14 has no marks, and then decoding fails."""
    return hasattr(packet, "has_sidedata") and packet.has_sidedata("encryption_info")


def _decode_first(packet: Packet, reading: _Reading) -> None:
    reading.tries += 1
    reading.frame = next(iter(decoded(packet, VideoFrame)), None)


def _note_end(packet: Packet, reading: _Reading) -> None:
    reading.last_is_partial = packet.is_corrupt
    time = packet.pts if packet.pts is not None else packet.dts
    if time is None or not packet.time_base:
        return
    end = float((time + (packet.duration or 0)) * packet.time_base)
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
    turn = _turn_of(frame, codec)
    width_px, height_px = _displayed_size(frame, video.sample_aspect_ratio, turn)
    container_seconds = _container_seconds(container, reading)
    components = frame.format.components
    is_mp4 = container.format.name.startswith("mov,mp4")
    colors = (int(context.color_primaries), int(context.color_trc), int(context.colorspace))
    if is_mp4 and colors == (_UNSPECIFIED,) * 3:
        colors = container_colors(path) or colors
    return ClipFacts(
        container=_container_name(path, container),
        video_codec=codec,
        pixel_format=frame.format.name,
        bit_depth=max((part.bits for part in components), default=8),
        color_primaries=PRIMARIES.get(colors[0], UNKNOWN),
        color_transfer=TRANSFERS.get(colors[1], UNKNOWN),
        color_space=SPACES.get(colors[2], UNKNOWN),
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
        duration_seconds=float(pictures.seconds(video)),
        container_duration_seconds=container_seconds,
        picture_start_seconds=float(pictures.start),
        frame_count=pictures.count,
        sound=_sound_facts(audio, reading),
        has_presentation_times=has_presentation_times(container),
        size_bytes=path.stat().st_size,
        hidden_frame_count=pictures.hidden,
        peak_frame_rate=pictures.peak_rate() if pictures.is_variable else None,
        private=private_parts(
            path,
            container.metadata,
            found=_found(reading),
            packet_bytes=reading.packet_bytes if is_mp4 else None,
        ),
    )


def _found(reading: _Reading) -> tuple[str, ...]:
    """Return what the streams hold beside the pictures and the sound that are played."""
    sound = reading.sound
    hidden_seconds = sound.hidden_time * sound.time_base if sound else 0
    holds = {
        USER_DATA: reading.has_user_data,
        "hidden frames": reading.pictures.hidden,
        "hidden sound": hidden_seconds > _MOST_HIDDEN_SOUND_SECONDS,
    }
    return tuple(word for word, is_there in holds.items() if is_there)


def _codec_name(codec: Codec) -> str:
    """Return the codec's name, not its decoder's."""
    name = str(getattr(codec, "canonical_name", codec.name))  # PyAV 14.0 has only the decoder's
    return _DECODERS.get(name, name)


def _container_seconds(container: InputContainer, reading: _Reading) -> float:
    """Return the header's duration, which in Matroska counts from 0 also where the first frame is later."""
    declared_seconds = (container.duration or 0) / av.time_base
    start_seconds = (container.start_time or 0) / av.time_base
    counts_from_zero = abs(declared_seconds - reading.ends_seconds) < start_seconds / 2
    if counts_from_zero and not container.format.name.startswith("mov,mp4"):
        return declared_seconds - start_seconds
    return declared_seconds


@dataclass(frozen=True, slots=True)
class Turn:
    """How a player turns a stored picture: first mirrored left to right, then turned clockwise."""

    degrees: int = 0
    """0, 90, 180 or 270, clockwise."""
    mirrored: bool = False

    def applied(self, picture: np.ndarray) -> np.ndarray:
        """Return an (H, W) or (H, W, C) picture as a player shows it: a view."""
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.rot90(picture, k=-self.degrees // 90)

    def filters(self) -> list[tuple[str, str]]:
        """Return the FFmpeg filters, as (name, arguments), that turn a picture like this."""
        turned = {
            0: [],
            90: [("transpose", "clock")],
            180: [("hflip", ""), ("vflip", "")],
            270: [("transpose", "cclock")],
        }[self.degrees]
        return [("hflip", ""), *turned] if self.mirrored else turned


_TURNS = {  # the signs of the matrix' a, b, c, d; x' = a x + c y, y' = b x + d y, y downwards
    (1, 0, 0, 1): Turn(0),
    (0, 1, -1, 0): Turn(90),
    (-1, 0, 0, -1): Turn(180),
    (0, -1, 1, 0): Turn(270),
    (-1, 0, 0, 1): Turn(0, mirrored=True),
    (1, 0, 0, -1): Turn(180, mirrored=True),
    (0, -1, -1, 0): Turn(90, mirrored=True),
    (0, 1, 1, 0): Turn(270, mirrored=True),
}


def _turn_of(frame: VideoFrame, codec: str) -> Turn:
    """Return the turn of a frame's display matrix, to the nearest 90 degrees."""
    data = None
    if codec not in _NAMED_PROFILES:
        with suppress(ValueError):  # a kind of side data that FFmpeg knows and PyAV does not, such as EXIF
            data = frame.side_data.get("DISPLAYMATRIX")
    if data is None or len(bytes(data)) < _MATRIX.size:
        counterclockwise = getattr(frame, "rotation", 0)  # PyAV 14.0 has none
        return Turn(-90 * round(counterclockwise / 90) % 360)
    a, b, _, c, d, *_rest = _MATRIX.unpack(bytes(data)[: _MATRIX.size])
    upright = abs(a) + abs(d) >= abs(b) + abs(c)
    signs = np.sign((a, 0, 0, d) if upright else (0, b, c, 0))
    return _TURNS.get(tuple(signs.tolist()), Turn())


def _displayed_size(frame: VideoFrame, sample_aspect: Any, turn: Turn) -> tuple[int, int]:
    """Return (width, height) in pixels as a player shows the frame: square pixels, turned.

    The width of a stored pixel to its height is None, from PyAV 19 on 0, when unknown; ratios outside 1/10 to
    10 are ignored.
    """
    is_likely = sample_aspect and 1 / _LARGEST_ASPECT <= sample_aspect <= _LARGEST_ASPECT
    width_px = max(1, round(frame.width * sample_aspect)) if is_likely else frame.width
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
        end_seconds=float(reading.sound.start + reading.sound.span(audio) - reading.pictures.start),
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
