"""What a person orders."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from .api.limits import Generation
from .api.motion_control import MOTION_SETTINGS, MotionControl, Setting, setting, settings_of
from .errors import InputRefused, SubmissionsHeld, Violation
from .media.types import ConformMode, Frames, TrimWindow
from .origins import CHINA_ORIGIN, GLOBAL_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

SANDBOX_REALM = "sandbox"
EMBEDDED_ORIGIN = "embedded"
"""Stands for the embedded sandbox, whose port differs from process to process."""
USUAL_WAIT_MINUTES = 60.0


class Service(StrEnum):
    """Where a job is sent."""

    SANDBOX = "sandbox"
    KLING = "kling"


class Kind(StrEnum):
    """What a job makes."""

    VIDEO = "video"
    ELEMENT = "element"


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
    generation: str = Generation.LEGACY.value


@dataclass(frozen=True, slots=True)
class Graph:
    """The part of a workflow that an order comes from."""

    signature: str
    workflow: Any = field(default=None, repr=False)
    """The whole workflow as its editor saved it; None where there is none."""
    prompt: Any = field(default=None, repr=False)
    """What ComfyUI was asked to run; None where that is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Everything a person says when they ask for a video."""

    image: Path | bytes | Any
    """A picture file, its bytes, or a tensor of shape (1, H, W, C) or (H, W, C), float32 in 0..1."""
    video: ReferenceVideo
    motion: MotionControl = MotionControl()
    service: Service = setting(
        Service.SANDBOX,
        choices=tuple(Service),
        tip="sandbox runs on this machine, costs nothing and needs no key; its result is a placeholder."
        " kling is your own Kling account: each new task is billed.",
        help="sandbox costs nothing; kling is billed.",
    )
    project: str = setting(
        "", tip="Folder and label for the result; may stay empty.", help="Folder and label for the result."
    )
    conform: ConformMode = setting(
        ConformMode.AUTO,
        choices=tuple(ConformMode),
        is_advanced=True,
        tip="auto makes inputs fit Kling's limits and cuts away at most 0.5 s."
        " 'auto, trim to limit' also cuts a clip that is too long. off changes nothing.",
        help="How far inputs may be changed to fit: auto trims at most half a second.",
    )
    cuts: Cuts = setting(
        Cuts.REFUSE,
        choices=tuple(Cuts),
        is_advanced=True,
        tip="What to do with a clip whose shot changes. Kling stops at the first cut and refunds nothing:"
        " refuse sends nothing, send sends it all the same.",
        help="What to do with a clip whose shot changes.",
    )
    max_units: Decimal = setting(
        Decimal(0),
        minimum=0,
        maximum=1_000_000,
        step=0.1,
        is_advanced=True,
        tip="The most this node may spend in one prompt, over all items of a list; 1 unit is 0.14 USD."
        " 0 leaves it to the server's limits (80 in a prompt, 300 in a day unless set otherwise).",
        help="Spend at most this many units; 0 leaves it to the server.",
    )
    wait_minutes: float = setting(
        USUAL_WAIT_MINUTES,
        minimum=0,
        maximum=10080,
        step=1,
        is_advanced=True,
        tip="How long to wait after Kling accepted the task. Afterwards it goes on at Kling;"
        " queue again to pick it up, which costs nothing.",
        help="Minutes to wait after Kling accepted the task.",
    )
    profile: str = setting(
        "",
        is_advanced=True,
        tip="Name of credentials stored on the server; empty uses the environment's. Never a key.",
        help="Named credentials; empty uses the environment's.",
    )
    external_task_id: str = setting(
        "",
        is_advanced=True,
        tip="A task id of your own: 1 to 64 letters, digits, _ and -."
        " It names one task, so it is not for lists. Empty lets Kling Once choose, which is safest.",
        help="A task id of your own.",
    )
    callback_url: str = setting(
        "",
        is_advanced=True,
        tip="Where Kling reports changes. Its origin must be in KLING_ONCE_CALLBACK_ORIGINS"
        " on the server: the report holds a link that needs no login.",
        help="Where Kling reports changes; its origin must be allowed.",
    )
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
    kept_only: bool = False
    """Hand over a kept result and ask no service for anything: ComfyUI's `--disable-api-nodes`."""
    decoded_items: int = 0
    """How many items of this node are decoded to frames afterwards, this one among them: all of these
    frames must fit into memory before money is spent."""

    kind: ClassVar[Kind] = Kind.VIDEO

    @property
    def take(self) -> int:
        """Return the take."""
        return self.motion.take

    @property
    def columns(self) -> dict[str, Any]:
        """Return what decides the result, as columns of the ledger's table of jobs."""
        return {"element_name": "", **asdict(self.motion)}

    @property
    def shown_image_name(self) -> str:
        """Return a name for the reference image."""
        return _whole(self.image_name or (self.image.stem if isinstance(self.image, Path) else "image"))

    @property
    def shown_video_name(self) -> str:
        """Return a name for the reference video; of a URL never more than its kind."""
        return _whole(self.video_name) or _name_of(self.video)


@dataclass(frozen=True, slots=True, eq=False)
class ElementOrder:
    """Everything a person says when they ask for an element: what a character looks like, under a name.

    It is made of a frontal picture and other views of it, or of one clip.
    """

    name: str
    description: str
    image: Path | bytes | Any = None
    """The frontal picture; None for an element of a clip."""
    views: tuple[Path | bytes | Any, ...] = ()
    """One to three other pictures of the same character."""
    video: ReferenceVideo | None = None
    service: Service = Service.SANDBOX
    project: str = ""
    conform: ConformMode = ConformMode.AUTO
    wait_minutes: float = USUAL_WAIT_MINUTES
    profile: str = ""
    again: bool = False
    image_name: str = ""
    video_name: str = ""
    spender: Spender = Spender("")
    graph: Graph | None = None
    kept_only: bool = False

    kind: ClassVar[Kind] = Kind.ELEMENT
    take: ClassVar[int] = 0
    max_units: ClassVar[Decimal] = Decimal(0)
    external_task_id: ClassVar[str] = ""
    callback_url: ClassVar[str] = ""
    is_one_of_several: ClassVar[bool] = False
    decoded_items: ClassVar[int] = 0

    @property
    def columns(self) -> dict[str, Any]:
        """Return what decides the element, as columns of the ledger's table of jobs."""
        nothing = {item.name: type(item.default)() for item in MOTION_SETTINGS}
        return nothing | {"element_name": self.name, "prompt": self.description}

    @property
    def shown_image_name(self) -> str:
        """Return a name for the frontal picture, the element's own where there is none."""
        return _whole(self.image_name or (self.image.stem if isinstance(self.image, Path) else self.name))

    @property
    def shown_video_name(self) -> str:
        """Return a name for the clip; empty where there is none."""
        return (_whole(self.video_name) or _name_of(self.video)) if self.video is not None else ""


AnyOrder = Order | ElementOrder


def _name_of(video: ReferenceVideo) -> str:
    if isinstance(video, VideoUrl):
        return "url"
    return _whole(video.path.stem) if isinstance(video, VideoFile) else "frames"


SERVICES_OFF = "This ComfyUI was started with --disable-api-nodes, so nothing is asked of Kling."
"""Why an order with `kept_only` is refused."""


def services_off() -> SubmissionsHeld:
    """Return the refusal of an order that may only be served from what is kept, and is not kept."""
    return SubmissionsHeld(SERVICES_OFF, hint="What is kept already is still handed over.")


ORDER_SETTINGS = settings_of(Order)
"""What else can be said of an order, in the order in which nodes list it; it decides no result."""

SHOWN_CHARACTERS = 40


def read_setting(item: Setting, given: Any) -> Any:
    """Return what was given for a setting, in the setting's own type; None counts as its default.

    Raises:
        InputRefused: it is not of that type.
    """
    if given is None:
        return item.default
    if isinstance(item.default, bool):
        return bool(given)
    if isinstance(item.default, StrEnum):
        if str(given) not in item.choices:
            refuse(item.name, f"{item.name} is {_shown(given)}; it may be: {'; '.join(item.choices)}.")
        return type(item.default)(str(given))
    if isinstance(item.default, str):
        return str(given).strip() if item.is_stripped else str(given)
    if isinstance(item.default, Decimal) and isinstance(given, Decimal):
        return given
    number = finite_number(item.name, given)
    if isinstance(item.default, int) and not number.is_integer():
        refuse(item.name, f"{item.name} is {_shown(given)}; it must be a whole number.")
    return Decimal(str(number)) if isinstance(item.default, Decimal) else type(item.default)(number)


def read_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of an `Order` from named values; what is missing has its default.

    Raises:
        InputRefused: a value is not of its setting's type.
    """
    motion = MotionControl(
        **{item.name: read_setting(item, given.get(item.name)) for item in MOTION_SETTINGS}
    )
    return {"motion": motion} | {
        item.name: read_setting(item, given.get(item.name)) for item in ORDER_SETTINGS
    }


def finite_number(name: str, given: Any) -> float:
    """Return what was given as a number.

    Raises:
        InputRefused: it is none, or has no end.
    """
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        refuse(name, f"{name} is {_shown(given)}; it must be a number.")
    return number


def refuse(name: str, message: str) -> NoReturn:
    """Refuse the value of an input.

    Raises:
        InputRefused: always.
    """
    raise InputRefused([Violation(name, f"{name}.value", message)])


def _shown(given: Any) -> str:
    return repr(str(given)[:SHOWN_CHARACTERS])


def _whole(name: str) -> str:
    """Return a name that every database takes: bytes of a file name that are no text become `?`."""
    return name.encode("utf-8", "replace").decode()


def billed_seconds(value: float | Fraction | Decimal) -> Decimal:
    """Return seconds as an exact decimal of at most microseconds."""
    return Decimal(str(round(float(value), 6)))
