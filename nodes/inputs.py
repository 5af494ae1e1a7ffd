"""Inputs and outputs that several nodes share. Ids, order and defaults are promises."""

from __future__ import annotations

from typing import Any

from .host import io

MOTION_SOURCES = ("video", "frames", "url")
CATEGORY = "Kling Once"
JOB = io.Custom("KLING_ONCE_JOB")
FRAMES_SLOT, AUDIO_SLOT = 1, 2
"""Of every node that delivers a video."""

PROMPT_TIP = (
    "Look, setting and camera, not the motion: that comes from the video."
    " Up to 2,500 characters; may stay empty."
)
MODE_TIP = (
    "std is 720p, pro is 1080p. Price per second of the reference video:"
    " kling-v2-6 std 0.07 USD, pro 0.112 USD; kling-v3 std 0.126 USD, pro 0.168 USD."
)
ORIENTATION_TIP = (
    "video: the character faces as in the reference video, which may be 3 to 30 s long."
    " image: as in the picture, 3 to 10 s."
)
TAKE_TIP = (
    "0 is the first result. The same inputs and take are paid once, however often they are queued;"
    " raise the number to buy another result on purpose."
)
SERVICE_TIP = (
    "sandbox runs on this machine, costs nothing and needs no key; its result is a placeholder."
    " kling is your own Kling account: each new task is billed."
)
MAX_UNITS_TIP = (
    "The most this node may spend in one prompt, over all items of a list; 1 unit is 0.14 USD."
    " 0 leaves it to the server's limits (80 in a prompt, 300 in a day unless set otherwise)."
)


def motion_inputs(*, waits: bool = True) -> list[Any]:
    """Return what describes a motion-control job."""
    inputs = [
        io.Image.Input(
            "image",
            tooltip="Reference image: the character. One picture, sides 300 to 65,536 px, at most 2.5 : 1."
            " A batch is refused: each picture would be a paid task.",
        ),
        io.String.Input("prompt", default="", multiline=True, optional=True, tooltip=PROMPT_TIP),
        io.Combo.Input(
            "model",
            options=["kling-v2-6", "kling-v3"],
            default="kling-v2-6",
            optional=True,
            tooltip="Kling's model. Elements are documented for kling-v3.",
        ),
        io.Combo.Input("mode", options=["std", "pro"], default="std", optional=True, tooltip=MODE_TIP),
        io.Combo.Input(
            "character_orientation",
            options=["video", "image"],
            default="video",
            optional=True,
            tooltip=ORIENTATION_TIP,
        ),
        io.Boolean.Input(
            "keep_original_sound",
            default=True,
            optional=True,
            tooltip="Put the reference video's sound into the result.",
        ),
        io.Int.Input("take", default=0, min=0, max=2**31 - 1, optional=True, tooltip=TAKE_TIP),
        service_input(),
        project_input(),
        io.String.Input(
            "element_id",
            default="",
            optional=True,
            advanced=True,
            tooltip="Id of an element of your Kling account that keeps the face stable: its number as text."
            " With it the character faces as in the video, whatever character_orientation says.",
        ),
        io.Boolean.Input(
            "watermark",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Ask for a watermarked copy as well; its link is the output watermark_url.",
        ),
        io.Combo.Input(
            "conform",
            options=["auto", "auto, trim to limit", "off"],
            default="auto",
            optional=True,
            advanced=True,
            tooltip="auto makes inputs fit Kling's limits and cuts away at most 0.5 s."
            " 'auto, trim to limit' also cuts a clip that is too long. off changes nothing.",
        ),
        io.Combo.Input(
            "cuts",
            options=["refuse", "send"],
            default="refuse",
            optional=True,
            advanced=True,
            tooltip="What to do with a clip whose shot changes."
            " Kling stops at the first cut and refunds nothing:"
            " refuse sends nothing, send sends it all the same.",
        ),
        on_failure_input(),
        io.Float.Input(
            "max_units",
            default=0.0,
            min=0.0,
            max=1_000_000.0,
            step=0.1,
            optional=True,
            advanced=True,
            tooltip=MAX_UNITS_TIP,
        ),
        wait_minutes_input(),
        profile_input(),
        io.String.Input(
            "external_task_id",
            default="",
            optional=True,
            advanced=True,
            tooltip="A task id of your own: 1 to 64 letters, digits, _ and -."
            " It names one task, so it is not for lists. Empty lets Kling Once choose, which is safest.",
        ),
        io.String.Input(
            "callback_url",
            default="",
            optional=True,
            advanced=True,
            tooltip="Where Kling reports changes. Its origin must be in KLING_ONCE_CALLBACK_ORIGINS"
            " on the server: the report holds a link that needs no login.",
        ),
        _motion_source(),
    ]
    return inputs if waits else [item for item in inputs if item.id != "wait_minutes"]


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
    frames = [
        io.Image.Input("frames", tooltip="Reference video as frames."),
        io.Float.Input(
            "fps",
            default=30.0,
            min=0.01,
            max=1000.0,
            step=0.01,
            optional=True,
            tooltip="Frames per second of these frames.",
        ),
        io.Audio.Input("audio", optional=True, tooltip="Sound that goes with the frames."),
    ]
    url = io.String.Input(
        "url",
        default="",
        optional=True,
        tooltip="https address of the reference video, which Kling fetches itself."
        " It is saved in every workflow: do not put a signed link here.",
    )
    return io.DynamicCombo.Input(
        "motion_source",
        options=[
            io.DynamicCombo.Option("video", [clip, _hidden_widget()]),
            io.DynamicCombo.Option("frames", frames),
            io.DynamicCombo.Option("url", [url]),
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


def service_input() -> Any:
    """Return the choice between the free and the billed service."""
    return io.Combo.Input(
        "service", options=["sandbox", "kling"], default="sandbox", optional=True, tooltip=SERVICE_TIP
    )


def project_input() -> Any:
    """Return the folder and label of results."""
    return io.String.Input(
        "project", default="", optional=True, tooltip="Folder and label for the result; may stay empty."
    )


def profile_input() -> Any:
    """Return the name of credentials that lie on the server."""
    return io.String.Input(
        "profile",
        default="",
        optional=True,
        advanced=True,
        tooltip="Name of credentials stored on the server; empty uses the environment's. Never a key.",
    )


def on_failure_input() -> Any:
    """Return what a failed item does to the others."""
    return io.Combo.Input(
        "on_failure",
        options=["stop", "skip"],
        default="stop",
        optional=True,
        advanced=True,
        tooltip="stop ends the prompt with the message."
        " skip blocks this item with its message and delivers the others.",
    )


def wait_minutes_input() -> Any:
    """Return how long to wait."""
    return io.Float.Input(
        "wait_minutes",
        default=60.0,
        min=0.0,
        max=10080.0,
        step=1.0,
        optional=True,
        advanced=True,
        tooltip="How long to wait after Kling accepted the task. Afterwards it goes on at Kling;"
        " queue again to pick it up, which costs nothing.",
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


def motion_source_problem(motion_source: Any) -> str | bool:
    """Return what is wrong with the choice of a motion source, in words, or True."""
    chosen = motion_source.get("motion_source") if isinstance(motion_source, dict) else motion_source
    if chosen in MOTION_SOURCES:
        return True
    return (
        "motion_source is missing or unknown. Set it to 'video' (then wire motion_source.video), 'frames'"
        " (motion_source.frames, .fps and .audio) or 'url' (motion_source.url)."
    )
