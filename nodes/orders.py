"""What a node takes, and the order that it stands for; its VIDEO as a file or frames."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_once.api.motion_control import MOTION_SETTINGS, Setting
from ..kling_once.media.types import Frames, TrimWindow
from ..kling_once.order import (
    ORDER_SETTINGS,
    Graph,
    Order,
    Service,
    Spender,
    VideoFile,
    VideoFrames,
    VideoUrl,
    read_setting,
    read_settings,
    refuse,
)
from ..kling_once.web.graph import class_of, takers_of
from . import host
from .host import InputImpl, io

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..kling_once.errors import Violation
    from ..kling_once.order import ReferenceVideo
    from .node_run import NodeRun

CATEGORY = "Kling Once"
JOB = io.Custom("KLING_ONCE_JOB")
VIDEO_INFO = io.Custom("VHS_VIDEOINFO")
"""What VideoHelperSuite's loaders tell of a clip."""
FRAMES_SLOT, AUDIO_SLOT = 1, 2
"""Of every node that delivers a video."""

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
COLLECT = "KlingOnce_CollectMotionControl"
LARGEST_DENOMINATOR = 1001
"""Of the frame rates that exist: 30000/1001 and the like."""
_WRITING = threading.Lock()
"""Items of a list, and nodes side by side, bring the same clip at the same time."""


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
    image = io.Image.Input(
        "image",
        tooltip="Reference image: the character. One picture, sides 300 to 65,536 px, at most 2.5 : 1."
        " A batch is refused: each picture would be a paid task.",
    )
    return [image, *setting_inputs(by_place(settings)), _motion_source()]


def by_place(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings of an order in the places of their widgets.

    A saved workflow holds values by their place, so a setting that came later stands after all others.
    """
    first = [item for item in settings if not item.is_late]
    shown = [item for item in first if not item.is_advanced]
    advanced = [item for item in first if item.is_advanced]
    advanced.insert(1 + [item.name for item in advanced].index("cuts"), ON_FAILURE)
    return [*shown, *advanced, *(item for item in settings if item.is_late)]


def _motion_source() -> Any:
    """Return the choice of a motion source, each with exactly one widget.

    It is required, so ComfyUI lists it second, and a saved workflow keeps widgets by their place: the
    choice and its one widget come first, and all others after them, whatever is chosen.

    Nobody sees or reads the widget `kind`. The page (frontend 1.49.6) cannot make a node whose first option
    has sockets and no widget: it ends with "Failed to find input socket for motion_source", and the node is
    missing from the graph.
    """
    hidden = {"options": ["clip"], "default": "clip", "optional": True, "extra_dict": {"hidden": True}}
    clip = io.Video.Input(
        "video",
        tooltip="Reference video: one continuous shot of one person, 3 to 30 s (10 s with orientation image),"
        " sides 340 to 3,850 px, at most 100 MB. A trim is honoured.",
    )
    frames = io.Image.Input("frames", tooltip="Reference video as frames.")
    audio = io.Audio.Input("audio", optional=True, tooltip="Sound that goes with the frames.")
    info = VIDEO_INFO.Input(
        "video_info",
        optional=True,
        tooltip="What Video Helper Suite's loader tells of these frames: its loaded rate counts, not fps.",
    )
    return io.DynamicCombo.Input(
        "motion_source",
        options=[
            io.DynamicCombo.Option("video", [clip, io.Combo.Input("kind", **hidden)]),
            io.DynamicCombo.Option("frames", [frames, *setting_inputs([FPS]), audio, info]),
            io.DynamicCombo.Option("url", setting_inputs([URL])),
        ],
        tooltip="Where the motion comes from.",
    )


def motion_source_problem(_cls: Any, image: Any = None, motion_source: Any = None) -> str | bool:  # noqa: ARG001 - naming a wired input makes core report what is said here
    """Return what is wrong with the choice of a motion source, in words, or True: a `validate_inputs`."""
    chosen = motion_source.get("motion_source") if isinstance(motion_source, dict) else motion_source
    if chosen in {"video", "frames", "url"}:
        return True
    return (
        "motion_source is missing or unknown. Set it to 'video' (then wire motion_source.video), 'frames'"
        " (motion_source.frames, .fps and .audio) or 'url' (motion_source.url)."
    )


async def order_of(node: Any, run: NodeRun, inputs: dict[str, Any]) -> Order:
    """Return the order that a run of a node stands for.

    Raises:
        InputRefused: the inputs cannot be an order.
    """
    _require_one_picture(inputs["image"])
    video = await _reference_video(inputs["motion_source"])
    settings, items = read_settings(inputs), len(run.items)
    return Order(
        image=inputs["image"],
        video=video,
        **settings,
        is_one_of_several=items > 1,
        image_name=run.file_name("image"),
        video_name=run.file_name("motion_source.video"),
        spender=Spender(run.prompt_id, run.node_id),
        graph=Graph(run.signature, run.workflow, node.hidden.prompt),
        kept_only=is_off(settings["service"]),
        decoded_items=items if _is_decoded(node, run) else 0,
    )


async def order_to_send(node: Any, run: NodeRun, inputs: dict[str, Any]) -> Order:
    """Return the order that a run of a node places, held against the limits with all others of its list.

    Raises:
        InputRefused: the inputs cannot be an order.
        BudgetReached: the list would cost more than the limits allow.
    """
    order = await order_of(node, run, inputs)
    if inputs.get(ON_FAILURE.name) != SKIP:  # or what the limits allow is wanted without the rest
        await run.hold_against_limits(order)
    return order


TRIM_HINT = "Core's node Trim Video trims it."


def told(violation: Violation) -> str:
    """Return a broken limit in the words of nodes."""
    is_long = violation.rule == "video.duration.max"
    return f"{violation.message} {TRIM_HINT}" if is_long else violation.message


def is_off(service: str) -> bool:
    """Tell whether ComfyUI's --disable-api-nodes forbids to ask a service for anything."""
    return service == Service.KLING and host.paid_services_are_off()


def _is_decoded(node: Any, run: NodeRun) -> bool:
    """Tell whether something takes the frames of what is ordered, here or where it is collected."""
    types = node.RETURN_TYPES
    if len(types) > FRAMES_SLOT and types[FRAMES_SLOT] == "IMAGE":
        return bool(takers_of(run.prompt, run.node_id, FRAMES_SLOT))
    return any(
        class_of(run.prompt, taker) == COLLECT and takers_of(run.prompt, taker, FRAMES_SLOT)
        for taker in takers_of(run.prompt, run.node_id, 0)
    )


def _require_one_picture(image: Any) -> None:
    if image is None:
        refuse("image", "Nothing came over image.")
    if not hasattr(image, "shape"):
        refuse("image", f"image is a tensor, one picture as ComfyUI's IMAGE; a {type(image).__name__} came.")
    count = int(image.shape[0])
    if count == 0:
        refuse("image", "image is an empty batch.")
    if count > 1:
        refuse(
            "image",
            f"image is a batch of {count} pictures, and each would be a paid task. Put core's Rebatch Images"
            " with batch_size 1 before it to order one video for each, or pick one picture of the batch.",
        )


async def _reference_video(source: dict[str, Any]) -> ReferenceVideo:
    kind = source["motion_source"]
    if kind == "url":
        return VideoUrl(read_setting(URL, source.get("url")))
    if source.get(kind) is None:
        refuse(kind, f"Nothing came over motion_source.{kind}.")
    if kind == "frames":
        fps = Fraction(_fps(source)).limit_denominator(LARGEST_DENOMINATOR)
        return VideoFrames(Frames(source["frames"], fps, source.get("audio")))
    return await host.in_thread(clip_of, source["video"])


def _fps(source: dict[str, Any]) -> float:
    name, given = "fps", source.get("fps")
    if (info := source.get("video_info")) is not None:
        name, given = "video_info", info.get("loaded_fps") if isinstance(info, dict) else info
        if not isinstance(given, (int, float)):
            refuse(name, "video_info names no loaded_fps. Wire it to the video_info of the frames' loader.")
    fps = read_setting(replace(FPS, name=name), given)
    if fps <= 0:
        refuse(name, f"{name} is {fps:g} frames per second; it must be more than 0.")
    return fps


def clip_of(video: Any) -> VideoFile | VideoFrames:
    """Return a VIDEO without decoding it: its file and its trim, or the frames that it holds; blocking.

    Raises:
        InputRefused: it is no VIDEO.
        DiskFull: a clip in memory cannot be written to ComfyUI's temp folder.
    """
    if isinstance(video, InputImpl.VideoFromComponents):
        parts = video.get_components()
        return VideoFrames(Frames(parts.images, Fraction(parts.frame_rate), parts.audio))
    if not hasattr(video, "get_stream_source"):
        refuse("video", f"video is a clip, as ComfyUI's VIDEO; a {type(video).__name__} came.")
    source = video.get_stream_source()
    path = Path(source) if isinstance(source, (str, os.PathLike)) else _written(source)
    if not hasattr(video, "get_active_trim_window"):  # ComfyUI before 0.23: only saving honours a trim
        is_whole = video.get_duration() == InputImpl.VideoFromFile(str(path)).get_duration()
        return VideoFile(path if is_whole else _saved(video))
    start_seconds, duration_seconds = video.get_active_trim_window()
    if not start_seconds and not duration_seconds:
        return VideoFile(path)
    return VideoFile(path, TrimWindow(start_seconds, duration_seconds))


def _written(source: BytesIO) -> Path:
    """Write a clip in memory to a file named by its content; it stays until ComfyUI empties its folder."""
    from ..kling_once.files import write_file  # noqa: PLC0415 - nothing heavy before a node runs

    with source.getbuffer() as data:
        path = host.temp_folder() / f"clip_{hashlib.sha256(data).hexdigest()[:32]}.mp4"
        try:
            with _WRITING:
                if not path.is_file():
                    write_file(path, lambda file: file.write(data), durable=False)
        except OSError as error:
            raise host.temp_folder_full(error) from None
    return path


def _saved(video: Any) -> Path:
    """Write a clip as its VIDEO saves it, which honours its trim."""
    with tempfile.TemporaryDirectory(dir=host.temp_folder()) as folder:
        path = Path(folder) / "clip.mp4"
        try:
            video.save_to(str(path))
            return _written(BytesIO(path.read_bytes()))
        except OSError as error:
            raise host.temp_folder_full(error) from None
