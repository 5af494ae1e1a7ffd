"""What the commands take, and what it means."""

from __future__ import annotations

import functools
import inspect
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..api.limits import Mode, Model, Orientation
from ..errors import InputRefused, SettingsError, Violation
from ..media.frame_folder import FrameFolder
from ..media.types import ConformMode, Frames
from ..order import (
    USUAL_WAIT_MINUTES,
    Cuts,
    MotionControl,
    Order,
    Service,
    Spender,
    VideoFile,
    VideoFrames,
    VideoUrl,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HIGHEST_FPS = 240

ImageArgument = Annotated[Path, typer.Argument(help="Reference image: the character, JPEG or PNG.")]
VideoArgument = Annotated[
    str,
    typer.Argument(help="Reference video: the motion, a file, an https URL or a folder of frames (--fps)."),
]
PromptOption = Annotated[str, typer.Option(help="Look, setting and camera, not the motion.")]
ModelOption = Annotated[str, typer.Option(help="kling-v2-6 or kling-v3.")]
ModeOption = Annotated[str, typer.Option(help="std is 720p, pro is 1080p.")]
OrientationOption = Annotated[
    str, typer.Option(help="video: face as in the video, 3 to 30 s; image: as in the picture, 3 to 10 s.")
]
SoundOption = Annotated[
    bool, typer.Option("--keep-sound/--no-keep-sound", help="Keep the reference video's sound.")
]
TakeOption = Annotated[int, typer.Option(help="0 is the first result; raise it to buy another on purpose.")]
ServiceOption = Annotated[Service, typer.Option(help="sandbox costs nothing; kling is billed.")]
ProfileOption = Annotated[str, typer.Option(help="Named credentials; empty uses the environment's.")]
ProjectOption = Annotated[str, typer.Option(help="Folder and label for the result.")]
ElementOption = Annotated[str, typer.Option(help="Id of an element that keeps the face stable.")]
WatermarkOption = Annotated[bool, typer.Option(help="Ask for a watermarked copy as well.")]
CallbackOption = Annotated[str, typer.Option(help="Where Kling reports changes; its origin must be allowed.")]
ExternalIdOption = Annotated[str, typer.Option(help="A task id of your own.")]
MaxUnitsOption = Annotated[
    str, typer.Option(help="Spend at most this many units; 0 leaves it to the server.")
]
WaitOption = Annotated[float, typer.Option(help="Minutes to wait after Kling accepted the task.")]
ConformOption = Annotated[
    ConformMode, typer.Option(help="How far inputs may be changed to fit: auto trims at most half a second.")
]
CutsOption = Annotated[Cuts, typer.Option(help="What to do with a clip whose shot changes.")]
FpsOption = Annotated[str, typer.Option(help="Frames per second, when VIDEO is a folder of frames.")]
OutOption = Annotated[
    Path | None, typer.Option("-o", "--out", help="Copy the video here: a file or a folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOptions:
    """The options that say what is ordered, and what each is where it is not given."""

    prompt: PromptOption = ""
    model: ModelOption = Model.V2_6.value
    mode: ModeOption = Mode.STD.value
    orientation: OrientationOption = Orientation.VIDEO.value
    keep_sound: SoundOption = True
    take: TakeOption = 0
    service: ServiceOption = Service.SANDBOX
    profile: ProfileOption = ""
    project: ProjectOption = ""
    element_id: ElementOption = ""
    watermark: WatermarkOption = False
    callback_url: CallbackOption = ""
    external_task_id: ExternalIdOption = ""
    max_units: MaxUnitsOption = "0"
    wait_minutes: WaitOption = USUAL_WAIT_MINUTES
    conform: ConformOption = ConformMode.AUTO
    cuts: CutsOption = Cuts.REFUSE
    fps: FpsOption = ""

    def order(self, image: Path, video: str, *, again: bool = False) -> Order:
        """Return the order that they make of these inputs.

        Raises:
            InputRefused: an option or VIDEO cannot be understood.
            UnreadableMedia: VIDEO is a folder without pictures.
        """
        return Order(
            image=image,
            video=video_of(video, self.fps),
            motion=MotionControl(
                self.prompt,
                self.model,
                self.mode,
                self.orientation,
                self.keep_sound,
                self.element_id,
                self.watermark,
                self.take,
            ),
            service=self.service,
            profile=self.profile,
            project=self.project,
            callback_url=self.callback_url,
            external_task_id=self.external_task_id,
            max_units=units_of(self.max_units),
            wait_minutes=self.wait_minutes,
            conform=self.conform,
            cuts=self.cuts,
            again=again,
            spender=this_invocation(),
        )


def takes_order_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take each of the OrderOptions by itself, where its parameter `options` stands.

    Typer reads the options of a command from its signature.
    """
    own = inspect.signature(command, eval_str=True).parameters
    single = inspect.signature(OrderOptions, eval_str=True).parameters

    @functools.wraps(command)
    def with_single_options(**given: Any) -> None:
        options = OrderOptions(**{name: given.pop(name) for name in single})
        command(**given, options=options)

    parameters = []
    for parameter in own.values():
        parameters += single.values() if parameter.name == "options" else [parameter]
    with_single_options.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    with_single_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_single_options


def video_of(text: str, fps: str) -> VideoFile | VideoFrames | VideoUrl:
    """Return the reference video that VIDEO names: a URL, a file, or a folder of frames.

    Raises:
        InputRefused: a folder without a usable `--fps`.
        UnreadableMedia: a folder without pictures.
    """
    if "://" in text:
        return VideoUrl(text)
    path = Path(text)
    if not os.path.isdir(path):  # noqa: PTH112 - never raises; what is wrong with a file is told with the file
        return VideoFile(path)
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= HIGHEST_FPS:
        given = f" (it is {fps[:20]!r})" if fps else ""
        message = f"{path.name} is a folder of frames: give --fps, 1 to {HIGHEST_FPS}{given}."
        raise InputRefused([Violation("video", "video.fps", message)])
    return VideoFrames(Frames(FrameFolder.open(path), rate))


def this_invocation() -> Spender:
    """Return this invocation as one prompt."""
    return Spender(f"cli-{secrets.token_hex(8)}", "cli")


def units_of(text: str) -> Decimal:
    """Return `--max-units` as an exact number.

    Raises:
        InputRefused: it is none.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        message = f"max_units is {text[:40]!r}; it is a number of units, 0 for no limit of its own."
        raise InputRefused([Violation("max_units", "max_units.range", message)]) from None


def moment_of(text: str, option: str = "--since") -> datetime | None:
    """Return the moment that a date or a span before now names, None for an empty text.

    Raises:
        SettingsError: it is neither.
    """
    if not text:
        return None
    try:
        if text.endswith("d"):
            return datetime.now(UTC) - timedelta(days=float(text[:-1]))
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise SettingsError(f"{option} is {text!r}; give a date (2026-11-22) or a span (7d).") from None
