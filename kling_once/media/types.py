"""Facts about pictures, clips and frames, limits and results: frozen values with the unit in the name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from ..errors import Violation

Stop: TypeAlias = Callable[[], bool]
"""Called between two pieces of work, from any thread; True makes what asks raise `MediaStopped` and leave no
file behind."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the number of frames done and of all frames; the second may be an estimate."""


class ConformMode(StrEnum):
    """How far an input may be changed to make it fit the documented limits."""

    AUTO = "auto"
    """Change whatever is needed, but cut away at most half a second."""
    TRIM = "auto, trim to limit"
    """As `AUTO`, and cut a clip that is too long at the limit."""
    OFF = "off"
    """Change nothing; what does not fit is a violation."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture file is."""

    format: str
    """Pillow's name: "JPEG", "PNG", "WEBP", "GIF", ..."""
    width_px: int
    """With the EXIF orientation applied."""
    height_px: int
    size_bytes: int
    """Of the file, before base64."""
    has_alpha: bool
    mode: str
    """Pillow's name of the pixel layout: "RGB", "RGBA", "CMYK", "P", "I;16", ..."""
    frame_count: int
    """More than 1 for an animation, of which only the first frame is used."""
    exif_orientation: int
    """1 to 8 (EXIF 2.32, 4.6.4); 1 is upright."""
    bit_depth: int
    """Bits per channel in the file: 1 to 16."""


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """The first sound track that can be decoded."""

    codec: str
    sample_rate_hz: int
    channels: int
    duration_seconds: float
    end_seconds: float = 0.0
    """After the first frame of the pictures."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip is, measured from its packets."""

    container: str
    """"mp4", "mov", "matroska", "webm", "avi", "mpegts", ...; MOV and MP4 differ by their brand."""
    video_codec: str
    """FFmpeg's name: "h264", "hevc", "prores", "vp9", "av1", "mjpeg", ..."""
    pixel_format: str
    bit_depth: int
    color_primaries: str
    """FFmpeg's names: "bt709", "bt2020", "smpte432", ...; "unknown" when the file does not say."""
    color_transfer: str
    """"bt709", "smpte2084" (PQ), "arib-std-b67" (HLG), ..., "unknown"."""
    color_space: str
    """The matrix: "bt709", "smpte170m", "bt2020nc", ..., "unknown"."""
    color_range: str
    """"tv", "pc" or "unknown"."""
    rotation_degrees: int
    """0, 90, 180 or 270: how a player turns the stored picture, clockwise."""
    is_mirrored: bool
    """A player mirrors the stored picture left to right before it turns it."""
    is_interlaced: bool
    width_px: int
    """As displayed: rotation and sample aspect ratio applied."""
    height_px: int
    stored_width_px: int
    stored_height_px: int
    frame_rate: Fraction
    """Frames per second; the mean when the rate varies."""
    is_variable_rate: bool
    """Some frame is more than one frame away from its place on an even grid."""
    duration_seconds: float
    """Of the picture track, from the first frame's start to the last frame's end; what Kling bills."""
    container_duration_seconds: float
    """From the header; 0 when it gives none."""
    picture_start_seconds: float
    """When the first frame is shown, on the file's timeline."""
    frame_count: int
    sound: SoundFacts | None
    size_bytes: int
    hidden_frame_count: int = 0
    """Frames in the file that an edit list hides, as of a clip that was trimmed without encoding it anew."""
    peak_frame_rate: Fraction | None = None
    """Frames per second where they are densest; None for an even rate."""
    has_presentation_times: bool = True
    """Packets say when their frames are shown; in AVI and raw streams they do not."""
    private: tuple[str, ...] = ()
    """What lies in the file beside pictures, sound and their colours, in words; it is never sent."""

    @property
    def picture_start(self) -> Fraction:
        """Return `picture_start_seconds` as an exact fraction."""
        return Fraction(self.picture_start_seconds).limit_denominator(1_000_000)

    @property
    def idle_sound_seconds(self) -> float:
        """Return how long the sound goes on after the last picture."""
        return max(0.0, self.sound.end_seconds - self.duration_seconds) if self.sound else 0.0

    @property
    def is_hdr(self) -> bool:
        """Tell whether the transfer curve is PQ or HLG."""
        return self.color_transfer in {"smpte2084", "arib-std-b67"}

    @property
    def has_square_pixels(self) -> bool:
        """Tell whether the displayed sides equal the stored ones, apart from a turn by 90 degrees."""
        return {self.width_px, self.height_px} == {self.stored_width_px, self.stored_height_px}


@dataclass(frozen=True, slots=True)
class TrimWindow:
    """The part of a clip to use, counted from its first frame."""

    start_seconds: Fraction | float = 0
    """At least 0."""
    duration_seconds: Fraction | float = 0
    """0 means to the end."""

    def __post_init__(self) -> None:
        if self.start_seconds < 0 or self.duration_seconds < 0:
            raise ValueError(f"A trim window cannot be negative: {self}")


@dataclass(frozen=True, slots=True)
class PictureBounds:
    """The documented limits of a reference image; the numbers come from `api/limits.py`."""

    min_side_px: int
    max_side_px: int
    max_ratio: float
    """Of the longer side to the shorter."""
    max_encoded_bytes: int
    """Of the file's base64 text, 4 bytes for every 3: what Kling receives of a file sent inline."""
    formats: frozenset[str] = frozenset({"JPEG", "PNG"})


@dataclass(frozen=True, slots=True)
class ClipBounds:
    """The documented limits of a reference video; the numbers come from `api/limits.py`."""

    min_duration_seconds: float
    max_duration_seconds: float
    min_side_px: int
    max_side_px: int
    max_size_bytes: int
    orientation: str
    """The value of `character_orientation` that these durations belong to, for messages; empty for an
    element's clip."""
    containers: frozenset[str] = frozenset({"mp4", "mov"})

    @property
    def whose(self) -> str:
        """Return what sets these limits, for messages."""
        return f"orientation '{self.orientation}'" if self.orientation else "an element"


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Decoded frames with their rate and sound, in ComfyUI's forms."""

    frames: Any
    """(T, H, W, C) float32 in 0..1, a torch tensor or a numpy array; C is 1, 3 or 4."""
    fps: Fraction
    """Frames per second."""
    audio: dict[str, Any] | None = field(default=None)
    """`{"waveform": (1, C, T) float32 tensor in -1..1, "sample_rate": Hz}`, or None without sound."""


@dataclass(frozen=True, slots=True)
class ConformedPicture:
    """A reference image as it would be sent."""

    data: bytes
    facts: PictureFacts
    report: tuple[str, ...]
    """One sentence for each change; empty when the file is sent as it is."""
    violations: tuple[Violation, ...]
    """What could not be corrected; empty when the picture fits."""


@dataclass(frozen=True, slots=True)
class ConformedClip:
    """A reference video as it would be sent."""

    path: Path
    """The source when `is_original`, else a new file in the target folder; `Path()` for frames with
    violations."""
    facts: ClipFacts
    report: tuple[str, ...]
    """One sentence for each change, and for what stays as it is although it had better be changed."""
    used_range: tuple[float, float]
    """Start and end in seconds of the source."""
    violations: tuple[Violation, ...]
    """What could not be corrected; empty when the clip fits."""
    is_original: bool
    """`path` is the source, unchanged."""

    @property
    def sent_seconds(self) -> float:
        """Return how long what is sent would be."""
        if self.violations:  # nothing was written: the facts are the whole source's
            return self.used_range[1] - self.used_range[0]
        return self.facts.duration_seconds
