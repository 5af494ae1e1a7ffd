"""Inputs and outputs that several nodes share. Ids, order and defaults are promises to saved workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..kling_once.api.motion_control import MOTION_SETTINGS, Setting
from ..kling_once.order import ORDER_SETTINGS, read_setting
from .host import io

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CATEGORY = "Kling Once"
JOB = io.Custom("KLING_ONCE_JOB")
FRAMES_SLOT, AUDIO_SLOT = 1, 2
"""Of every node that delivers a video."""
MOTION_SOURCES = ("video", "frames", "url")

STOP, SKIP = "stop", "skip"
ON_FAILURE = Setting(
    name="on_failure",
    default=STOP,
    choices=(STOP, SKIP),
    is_advanced=True,
    tip="stop ends the prompt with the message."
    " skip blocks this item with its message and delivers the others.",
)
FPS = Setting(
    name="fps", default=30.0, minimum=0.01, maximum=1000, step=0.01, tip="Frames per second of these frames."
)
URL = Setting(
    name="url",
    default="",
    is_stripped=True,
    tip="https address of the reference video, which Kling fetches itself."
    " It is saved in every workflow: do not put a signed link here.",
)
SETTINGS = {item.name: item for item in (*MOTION_SETTINGS, *ORDER_SETTINGS, ON_FAILURE)}
"""Of an order, by name."""
BEFORE_ON_FAILURE = "cuts"


def setting_inputs(settings: Iterable[Setting]) -> list[Any]:
    """Return one optional input with a widget for each setting."""
    return [_setting_input(item) for item in settings]


def _setting_input(item: Setting) -> Any:
    shared = {"optional": True, "tooltip": item.tip, "advanced": item.is_advanced or None}
    if item.choices:
        options = [str(choice) for choice in item.choices]
        return io.Combo.Input(item.name, options=options, default=str(item.default), **shared)
    if isinstance(item.default, bool):
        return io.Boolean.Input(item.name, default=item.default, **shared)
    if isinstance(item.default, str):
        multiline = item.is_multiline
        return io.String.Input(item.name, default=item.default, multiline=multiline, **shared)
    is_whole = isinstance(item.default, int)
    kind, number = (io.Int, int) if is_whole else (io.Float, float)
    bounds = {"min": item.minimum, "max": item.maximum, "step": item.step}
    given = {name: number(value) for name, value in bounds.items() if value is not None}
    return kind.Input(item.name, default=number(item.default), **given, **shared)


def values_of(settings: Iterable[Setting], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a node's settings, each in its setting's own type.

    Raises:
        InputRefused: a value is not of its setting's type.
    """
    return {item.name: read_setting(item, inputs.get(item.name)) for item in settings}


def order_inputs(*, waits: bool = True) -> list[Any]:
    """Return what describes an order: the sockets, and every setting of the table.

    Args:
        waits: the node waits for the video, so it asks how long.
    """
    settings = [item for item in (*MOTION_SETTINGS, *ORDER_SETTINGS) if waits or item.name != "wait_minutes"]
    shown = [item for item in settings if not item.is_advanced]
    advanced = [item for item in settings if item.is_advanced]
    place = 1 + [item.name for item in advanced].index(BEFORE_ON_FAILURE)
    advanced.insert(place, ON_FAILURE)
    return [_image(), *setting_inputs((*shown, *advanced)), _motion_source()]


def _image() -> Any:
    return io.Image.Input(
        "image",
        tooltip="Reference image: the character. One picture, sides 300 to 65,536 px, at most 2.5 : 1."
        " A batch is refused: each picture would be a paid task.",
    )


def _motion_source() -> Any:
    """Return the choice of a motion source, each with exactly one widget.

    It is required, so ComfyUI lists it second, and a saved workflow keeps widgets by their place: the
    choice and its one widget come first, and all others after them, whatever is chosen.
    """
    clip = io.Video.Input(
        "video",
        tooltip="Reference video: one continuous shot of one person, 3 to 30 s (10 s with orientation image),"
        " sides 340 to 3,850 px, at most 100 MB. A trim is honoured.",
    )
    frames = io.Image.Input("frames", tooltip="Reference video as frames.")
    audio = io.Audio.Input("audio", optional=True, tooltip="Sound that goes with the frames.")
    return io.DynamicCombo.Input(
        "motion_source",
        options=[
            io.DynamicCombo.Option("video", [clip, _hidden_widget()]),
            io.DynamicCombo.Option("frames", [frames, *setting_inputs([FPS]), audio]),
            io.DynamicCombo.Option("url", setting_inputs([URL])),
        ],
        tooltip="Where the motion comes from.",
    )


def _hidden_widget() -> Any:
    """Return a widget that nobody sees and nothing reads.

    The page (frontend 1.49.6) cannot make a node whose first option has sockets and no widget: it ends with
    "Failed to find input socket for motion_source", and the node is missing from the graph.
    """
    return io.Combo.Input(
        "kind", options=["clip"], default="clip", optional=True, extra_dict={"hidden": True}
    )


def motion_source_problem(motion_source: Any) -> str | bool:
    """Return what is wrong with the choice of a motion source, in words, or True."""
    chosen = motion_source.get("motion_source") if isinstance(motion_source, dict) else motion_source
    if chosen in MOTION_SOURCES:
        return True
    return (
        "motion_source is missing or unknown. Set it to 'video' (then wire motion_source.video), 'frames'"
        " (motion_source.frames, .fps and .audio) or 'url' (motion_source.url)."
    )


def delivered_outputs() -> list[Any]:
    """Return what a finished job hands over."""
    return [
        io.Video.Output(display_name="video", tooltip="The kept file."),
        io.Image.Output(display_name="frames", tooltip="Decoded only when something is wired here."),
        io.Audio.Output(display_name="audio", tooltip="The result's sound; nothing when it has none."),
        io.Float.Output(display_name="fps"),
        io.String.Output(display_name="task_id"),
        io.String.Output(display_name="video_url", tooltip="Kling's link; it lives for 30 days."),
        io.String.Output(display_name="watermark_url"),
        io.Float.Output(display_name="units", tooltip="The charge, or the estimate where Kling stated none."),
        io.String.Output(
            display_name="report", tooltip="Bought or reused, price, what was done, where it is kept."
        ),
    ]
