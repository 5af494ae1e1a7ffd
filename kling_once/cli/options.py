"""Options and arguments of the commands, and the order that they make."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..api.motion_control import MOTION_SETTINGS, MotionControl
from ..errors import InputRefused, SettingsError, Violation
from ..media.types import ConformMode, Frames
from ..order import (
    ORDER_SETTINGS,
    Order,
    Service,
    Spender,
    VideoFile,
    VideoFrames,
    VideoUrl,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.motion_control import Setting

HIGHEST_FPS: Final = 240
FPS_FORM: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6}|/[0-9]{1,7})?")
"""24, 29.97 or 30000/1001, in ASCII digits."""


class Gaps(StrEnum):
    """What to do with a folder of frames that has missing numbers."""

    REFUSE = "refuse"
    KEEP = "keep"


ImageArgument = Annotated[Path, typer.Argument(help="Reference image: the character, JPEG or PNG.")]
VideoArgument = Annotated[
    str,
    typer.Argument(help="Reference video: the motion, a file, an https URL or a folder of frames (--fps)."),
]
SETTINGS: Final = {item.name: item for item in (*MOTION_SETTINGS, *ORDER_SETTINGS)}


def _option(item: Setting) -> inspect.Parameter:
    """Return the parameter that Typer reads as the option of a setting."""
    # Typer knows no decimals
    default = str(item.default) if isinstance(item.default, Decimal) else item.default
    name = item.option or item.name.replace("_", "-")
    declared = f"--{name}/--no-{name}" if default is True else f"--{name}"
    return _parameter(item.name, default, Annotated[type(default), typer.Option(declared, help=item.help)])


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


SoundOption = Annotated[
    bool, typer.Option("--keep-sound/--no-keep-sound", help=SETTINGS["keep_original_sound"].help)
]
ServiceOption = Annotated[Service, typer.Option(help=SETTINGS["service"].help)]
ProfileOption = Annotated[str, typer.Option(help=SETTINGS["profile"].help)]
ConformOption = Annotated[ConformMode, typer.Option(help=SETTINGS["conform"].help)]
WaitOption = Annotated[float, typer.Option(help=SETTINGS["wait_minutes"].help)]
GapsOption = Annotated[
    Gaps, typer.Option(help="A folder of frames with missing numbers: refuse it, or keep the gaps.")
]
FpsOption = Annotated[str, typer.Option(help="Frames per second, when VIDEO is a folder of frames.")]
OutOption = Annotated[
    str,
    typer.Option("-o", "--out", help="Copy the video here: a file, or a folder (new ones end with a slash)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@dataclass(frozen=True, slots=True)
class OrderOptions:
    """The options of a command that describe an order."""

    given: dict[str, Any]
    """Values by the name of their setting."""
    fps: str
    gaps: Gaps

    def order(self, image: Path, video: str, *, again: bool = False) -> Order:
        """Return the order that the options make of these inputs.

        Raises:
            InputRefused: an option or VIDEO cannot be understood.
            UnreadableMedia: VIDEO is a folder without pictures.
        """
        given: dict[str, Any] = self.given | {"max_units": units_of(self.given["max_units"])}
        return Order(
            image=image,
            video=video_of(video, self.fps, self.gaps),
            again=again,
            spender=this_invocation(),
            motion=MotionControl(**{item.name: given[item.name] for item in MOTION_SETTINGS}),
            **{item.name: given[item.name] for item in ORDER_SETTINGS},
        )


def takes_order_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `options` of a command with one option for each setting of an order.

    Typer reads the options of a command from its signature, so the returned command has one of its own.
    """
    single = [
        *map(_option, SETTINGS.values()),
        _parameter("fps", "", FpsOption),
        _parameter("gaps", Gaps.REFUSE, GapsOption),
    ]

    @functools.wraps(command)
    def with_single_options(**given: Any) -> None:
        taken = {parameter.name: given.pop(parameter.name) for parameter in single}
        command(**given, options=OrderOptions(fps=taken.pop("fps"), gaps=taken.pop("gaps"), given=taken))

    parameters = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += single if parameter.name == "options" else [parameter]
    with_single_options.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    with_single_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_single_options


def video_of(text: str, fps: str, gaps: Gaps = Gaps.REFUSE) -> VideoFile | VideoFrames | VideoUrl:
    """Return the reference video that VIDEO names: a URL, a file, or a folder of frames.

    Raises:
        InputRefused: a folder without a usable `--fps`, or something else with one.
        UnreadableMedia: a folder without pictures, or with missing numbers.
        BadParameter: VIDEO is empty.
    """
    if not text.strip():
        raise typer.BadParameter("it is empty; give a file, a URL or a folder of frames.", param_hint="VIDEO")
    path = Path(text)
    is_url = "://" in text
    if is_url or not os.path.isdir(path):  # noqa: PTH112 - never raises; a bad path is reported with the file
        if fps:
            what = "a URL" if is_url else f"{path.name}, which is no folder of frames"
            raise _fps_refused(
                f"--fps is {fps[:20]!r} for {what}: a clip has a rate of its own. Leave it out."
            )
        return VideoUrl(text) if is_url else VideoFile(path)
    rate = Fraction(0)
    if FPS_FORM.fullmatch(fps):
        with contextlib.suppress(ZeroDivisionError):
            rate = Fraction(fps)
    if not 1 <= rate <= HIGHEST_FPS:
        given = f" (it is {fps[:20]!r})" if fps else ""
        raise _fps_refused(f"{path.name} is a folder of frames: give --fps, 1 to {HIGHEST_FPS}{given}.")
    from ..media.frame_folder import FrameFolder  # noqa: PLC0415 - keeps --help quick

    return VideoFrames(Frames(FrameFolder.open(path, may_have_gaps=gaps is Gaps.KEEP), rate))


def _fps_refused(message: str) -> InputRefused:
    return InputRefused([Violation("video", "video.fps", message)])


def this_invocation() -> Spender:
    """Return a spender of its own for this invocation, which counts as one prompt."""
    return Spender(f"cli-{secrets.token_hex(8)}", "cli")


def units_of(text: str) -> Decimal:
    """Return `--max-units` as an exact number.

    Raises:
        InputRefused: it is not a number.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        message = f"max_units is {text[:40]!r}; it is a number of units, 0 for no limit of its own."
        raise InputRefused([Violation("max_units", "max_units.range", message)]) from None


def moment_of(text: str, option: str = "--since") -> datetime | None:
    """Return the moment of a date, or that many days before now; None for an empty text.

    Args:
        text: an ISO date or time (2026-11-22), or a number of days (7d).
        option: the name of the option, for the message.

    Raises:
        SettingsError: the text is neither.
    """
    if not text:
        return None
    try:
        if text.endswith("d"):
            return datetime.now(UTC) - timedelta(days=float(text[:-1]))
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise SettingsError(f"{option} is {text!r}; give a date (2026-11-22) or a span (7d).") from None
