"""What a person orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api.limits import Mode, Model, Orientation
from .media.types import ConformMode, Frames, TrimWindow
from .settings import CHINA_ORIGIN, GLOBAL_ORIGIN

if TYPE_CHECKING:
    from fractions import Fraction


SANDBOX_REALM = "sandbox"
EMBEDDED_ORIGIN = "embedded"
"""Stands for the embedded sandbox, whose port differs from process to process."""
USUAL_WAIT_MINUTES = 60.0


class Service(StrEnum):
    """Where a job is sent."""

    SANDBOX = "sandbox"
    KLING = "kling"


class Cuts(StrEnum):
    """What to do with a clip whose shot changes."""

    REFUSE = "refuse"
    SEND = "send"


def realm_of(service: Service, origin: str) -> str:
    """Return where a task lives: `sandbox`, `global`, `china`, or the origin itself."""
    if service is Service.SANDBOX:
        return SANDBOX_REALM
    return {GLOBAL_ORIGIN: "global", CHINA_ORIGIN: "china"}.get(origin, origin)


def service_of(realm: str) -> Service:
    """Return the service whose tasks live there."""
    return Service.SANDBOX if realm == SANDBOX_REALM else Service.KLING


@dataclass(frozen=True, slots=True)
class MotionControl:
    """The settings that decide a result; texts are checked by `check`, not here."""

    prompt: str = ""
    model: str = Model.V2_6.value
    mode: str = Mode.STD.value
    character_orientation: str = Orientation.VIDEO.value
    keep_original_sound: bool = True
    element_id: str = ""
    watermark: bool = False
    take: int = 0


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A clip on this machine, or the part of it that is meant."""

    path: Path
    window: TrimWindow | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrames:
    """Frames in memory."""

    frames: Frames


@dataclass(frozen=True, slots=True)
class VideoUrl:
    """A clip that Kling fetches from an address of the user's own."""

    url: str = field(repr=False)


ReferenceVideo = VideoFile | VideoFrames | VideoUrl


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spends: spending limits add up over one prompt, and over one node of it."""

    prompt_id: str
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """With whose account an attempt is made."""

    profile: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Graph:
    """The part of a workflow that an order comes from."""

    signature: str
    workflow: Any = field(default=None, repr=False)
    """The whole workflow as its editor saved it; None where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Everything a person says when they ask for a video."""

    image: Path | bytes | Any
    """A picture file, its bytes, or a tensor of shape (1, H, W, C) or (H, W, C), float32 in 0..1."""
    video: ReferenceVideo
    motion: MotionControl = MotionControl()
    service: Service = Service.SANDBOX
    project: str = ""
    profile: str = ""
    conform: ConformMode = ConformMode.AUTO
    cuts: Cuts = Cuts.REFUSE
    max_units: Decimal = Decimal(0)
    """The most this node may spend in this prompt; 0 leaves it to the server's limits."""
    wait_minutes: float = USUAL_WAIT_MINUTES
    """How long to wait after the vendor accepted the task."""
    external_task_id: str = ""
    callback_url: str = field(default="", repr=False)
    again: bool = False
    """Try again although the last attempt failed for a reason that is likely to come back."""
    is_one_of_several: bool = False
    """Part of a list: an external id of the user's own cannot name several tasks."""
    image_name: str = ""
    video_name: str = ""
    """What to call the inputs in file names and lists; default: the files' own names."""
    spender: Spender = Spender("")
    graph: Graph | None = None
    """The workflow that this comes from."""
    kept_only: str = ""
    """Why nothing but a kept result may be handed over; empty where the service may be called."""
    decoded_items: int = 0
    """How many items of this node are decoded to frames afterwards, this one among them: all of these
    frames must fit into memory before money is spent."""

    @property
    def shown_image_name(self) -> str:
        """Return a name for the reference image."""
        return _whole(self.image_name or (self.image.stem if isinstance(self.image, Path) else "image"))

    @property
    def shown_video_name(self) -> str:
        """Return a name for the reference video; of a URL never more than its kind."""
        if self.video_name or isinstance(self.video, VideoUrl):
            return _whole(self.video_name or "url")
        return _whole(self.video.path.stem) if isinstance(self.video, VideoFile) else "frames"


def _whole(name: str) -> str:
    """Return a name that every database takes: bytes of a file name that are no text become `?`."""
    return name.encode("utf-8", "replace").decode()


def billed_seconds(value: float | Fraction | Decimal) -> Decimal:
    """Return seconds as an exact decimal of at most microseconds."""
    return Decimal(str(round(float(value), 6)))
