# ruff: noqa: E501, INP001 - notes are texts of the page; a folder of scripts is no package
"""What is in each example workflow: nodes, their places and values, and links."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Node:
    """One node as it is placed."""

    name: str
    type: str
    pos: list[int]
    widgets: dict[str, Any] = field(default_factory=dict)
    size: list[int] | None = None
    title: str = ""


@dataclass
class App:
    """What App mode shows: widgets as (node, widget), and nodes whose outputs are the result."""

    inputs: list[tuple[str, str]]
    outputs: list[str]


@dataclass
class Plan:
    """One workflow; a link is (node, output, node, input)."""

    nodes: list[Node]
    links: list[tuple[str, str, str, str]]
    app: App | None = None


CHARACTER = {"image": "kling_once_character.png"}
MOTION = {"file": "kling_once_motion.mp4"}
LONG_MOTION = {"file": "kling_once_long_motion.mp4"}


# Places: a template opens so that all of it is seen, and ComfyUI draws no text below 57 % of its size. At 1280 x
# 720 that leaves 1650 x 930 for a graph. What grows when it runs (strips, players) has nothing below it.
INPUTS_WIDTH, MOTION_HEIGHT = 260, 760


def note(text: str, pos: list[int], size: list[int]) -> Node:
    """Return a note."""
    return Node("note", "MarkdownNote", pos, {"text": text}, size)


def character(pos: list[int]) -> Node:
    """Return the reference image."""
    return Node("image", "LoadImage", pos, dict(CHARACTER), [INPUTS_WIDTH, 330], "Reference image")


def clip(pos: list[int], file: dict[str, str] = MOTION, title: str = "Reference video") -> Node:
    """Return the reference video."""
    return Node("clip", "LoadVideo", pos, dict(file), [INPUTS_WIDTH, 440], title)


def inputs() -> list[Node]:
    """Return picture and clip, one above the other at the left."""
    return [character([40, 40]), clip([40, 440])]


def motion(x: int, widgets: dict[str, str] | None = None, width: int = 380) -> Node:
    """Return a Motion Control node, which has a column of its own."""
    return Node("motion", "KlingOnce_MotionControl", [x, 40], widgets or {}, [width, MOTION_HEIGHT])


def save(name: str, pos: list[int], prefix: str, width: int = 360) -> Node:
    """Return where the result is saved."""
    return Node(name, "SaveVideo", pos, {"filename_prefix": prefix}, [width, 106])


FIRST_NOTE = """## Motion control

The character of the picture moves as the person in the video does.

**service** is **sandbox**: free, on this machine, no key, a placeholder as result. Set it to **kling** to order from
your own Kling account; the key is configured on the server, never here.

The same inputs are paid **once**, however often you queue them. Raise **take** to buy another result on purpose.
"""
FRAMES_NOTE = """## From frames, with sound

**motion_source** is **frames**: pictures, their fps, and optionally their sound. The frames are encoded and sent
as one clip. Anything that makes frames fits here.
"""
CHECK_NOTE = """## Check before you pay

Checks every documented limit and tells the price. Nothing is sent, nothing is spent.

**image** and **video** are what would be sent. When you like them, a button on the check writes its settings into a
Motion Control node.
"""
PARALLEL_NOTE = """## Two characters, one motion

Both jobs are **submitted** first and run at Kling at the same time; both are **collected** afterwards.

The server runs at most 3 tasks at once unless its operator says otherwise. Interrupt whenever you
like: queue again, and what was submitted is picked up.
"""
FETCH_NOTE = """## Fetch an earlier task

**Fetch Task** gets the video of a task by its id, free. Here the id comes from a submit, so that the example
runs; unplug it and type the id of your own task.

**List Tasks** shows what the account has. Kling keeps results for 30 days.
"""
UPSCALE_NOTE = """## Result frames into an upscale, and back to video

The result's frames are decoded because something is wired to **frames**; without a wire they cost no memory.
Sound and fps go around the upscale. A model upscaler fits in the same place.
"""
APP_NOTE = """## As an app

Opened, this shows a picture, a clip and a prompt to fill in, and the video: nothing else. Switch between **App** and
**Graph** at the top. **service** stands in the graph: **sandbox** is free, **kling** orders from your own account.
"""
ELEMENT_NOTE = """## A character that stays the same

**Create Element** makes an element of a frontal picture and 1 to 3 other views: Kling keeps that character's looks. It is
made **once**; queue again and the same element is used. 0 units were seen for one, no page names a price.

Elements are documented for **kling-v3**, and the character then faces as in the video. An element that you have already
comes from **Kling Once Element**, or by the button *Choose an element* at the node.
"""
LONG_NOTE = """## A long dance

Kling takes **30 s** at once. **Split Video** divides 75 s where the dancer rests, each part becomes a task, and
**Join Videos** makes one video of the results, with its sound.

Queue again as often as you like: no part is bought twice. With **on_failure** on **skip**, a part that Kling refuses
is left out, and the report names it.
"""

PLANS = {
    "1 motion control": Plan(
        [
            *inputs(),
            motion(340),
            note(FIRST_NOTE, [760, 40], [420, 260]),
            save("save", [760, 370], "kling/motion", 420),
        ],
        [
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "motion", "motion_source.video"),
            ("motion", "video", "save", "video"),
        ],
    ),
    "2 from frames with sound": Plan(
        [
            *inputs(),
            note(FRAMES_NOTE, [340, 40], [300, 260]),
            Node("parts", "GetVideoComponents", [340, 440], size=[300, 120]),
            motion(680, {"motion_source": "frames"}),
            save("save", [1100, 40], "kling/from frames"),
        ],
        [
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "parts", "video"),
            ("parts", "images", "motion", "motion_source.frames"),
            ("parts", "audio", "motion", "motion_source.audio"),
            ("parts", "fps", "motion", "motion_source.fps"),
            ("motion", "video", "save", "video"),
        ],
    ),
    "3 check before you pay": Plan(
        [
            *inputs(),
            Node(
                "check",
                "KlingOnce_CheckMotionControl",
                [340, 40],
                {"model": "kling-v3", "mode": "pro"},
                [380, MOTION_HEIGHT],
            ),
            note(CHECK_NOTE, [760, 40], [420, 210]),
            Node("report", "PreviewAny", [760, 310], size=[420, 190]),
            Node("picture", "PreviewImage", [760, 560], size=[420, 320]),
        ],
        [
            ("image", "IMAGE", "check", "image"),
            ("clip", "VIDEO", "check", "motion_source.video"),
            ("check", "report", "report", "source"),
            ("check", "image", "picture", "images"),
        ],
    ),
    "4 two characters in parallel": Plan(
        [
            *inputs(),
            note(PARALLEL_NOTE, [330, 40], [330, 240]),
            Node("other", "ImageInvert", [690, 40], size=[330, 60], title="Stands in for a second character"),
            Node("submit1", "KlingOnce_SubmitMotionControl", [330, 320], size=[330, 600]),
            Node("submit2", "KlingOnce_SubmitMotionControl", [690, 320], size=[330, 600]),
            Node("collect1", "KlingOnce_CollectMotionControl", [1050, 40], size=[290, 260]),
            Node("collect2", "KlingOnce_CollectMotionControl", [1370, 40], size=[290, 260]),
            save("save1", [1050, 820], "kling/first", 290),
            save("save2", [1370, 820], "kling/second", 290),
        ],
        [
            ("image", "IMAGE", "submit1", "image"),
            ("image", "IMAGE", "other", "image"),
            ("other", "IMAGE", "submit2", "image"),
            ("clip", "VIDEO", "submit1", "motion_source.video"),
            ("clip", "VIDEO", "submit2", "motion_source.video"),
            ("submit1", "job", "collect1", "job"),
            ("submit2", "job", "collect2", "job"),
            ("collect1", "video", "save1", "video"),
            ("collect2", "video", "save2", "video"),
        ],
    ),
    "5 fetch an earlier task": Plan(
        [
            *inputs(),
            note(FETCH_NOTE, [340, 40], [330, 240]),
            Node("submit", "KlingOnce_SubmitMotionControl", [340, 320], size=[330, 600]),
            Node("fetch", "KlingOnce_FetchTask", [710, 40], size=[280, 300]),
            save("save", [1030, 40], "kling/fetched", 280),
            Node("table", "PreviewAny", [1350, 40], size=[290, 200]),
            Node("list", "KlingOnce_ListTasks", [1350, 300], size=[290, 180]),
        ],
        [
            ("image", "IMAGE", "submit", "image"),
            ("clip", "VIDEO", "submit", "motion_source.video"),
            ("submit", "task_id", "fetch", "id"),
            ("fetch", "video", "save", "video"),
            ("list", "table", "table", "source"),
        ],
    ),
    "6 upscale the result": Plan(
        [
            *inputs(),
            motion(340),
            note(UPSCALE_NOTE, [760, 40], [340, 240]),
            Node(
                "upscale",
                "ImageScaleBy",
                [760, 340],
                {"upscale_method": "bicubic", "scale_by": 1.25},
                [340, 100],
            ),
            Node("video", "CreateVideo", [760, 500], size=[340, 130]),
            save("save", [1140, 40], "kling/upscaled"),
        ],
        [
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "motion", "motion_source.video"),
            ("motion", "frames", "upscale", "image"),
            ("upscale", "IMAGE", "video", "images"),
            ("motion", "audio", "video", "audio"),
            ("motion", "fps", "video", "fps"),
            ("video", "VIDEO", "save", "video"),
        ],
    ),
    "7 long dance": Plan(
        [
            character([40, 40]),
            clip([40, 440], LONG_MOTION, "Reference video: 75 s"),
            note(LONG_NOTE, [340, 40], [300, 340]),
            Node("split", "KlingOnce_SplitVideo", [340, 440], size=[300, 200]),
            motion(680),
            Node("join", "KlingOnce_JoinVideos", [1100, 40], size=[260, 340]),
            Node("report", "PreviewAny", [1400, 40], size=[250, 210]),
            save("save", [1400, 310], "kling/long dance", 250),
        ],
        [
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "split", "video"),
            ("split", "parts", "motion", "motion_source.video"),
            ("motion", "video", "join", "videos"),
            ("split", "overlap", "join", "overlap"),
            ("join", "report", "report", "source"),
            ("join", "video", "save", "video"),
        ],
    ),
    "8 a character that stays the same": Plan(
        [
            *inputs(),
            Node("views", "ImageInvert", [340, 40], size=[340, 60], title="Stands in for another view"),
            note(ELEMENT_NOTE, [340, 160], [340, 300]),
            Node(
                "element",
                "KlingOnce_CreateElement",
                [340, 520],
                {"name": "Mia", "description": "The drawn character of the example"},
                [340, 400],
            ),
            motion(720, {"model": "kling-v3"}),
            save("save", [1140, 40], "kling/element"),
        ],
        [
            ("image", "IMAGE", "views", "image"),
            ("image", "IMAGE", "element", "material.frontal"),
            ("views", "IMAGE", "element", "material.views"),
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "motion", "motion_source.video"),
            ("element", "element_id", "motion", "element_id"),
            ("motion", "video", "save", "video"),
        ],
    ),
    "9 as an app": Plan(
        [
            *inputs(),
            motion(340),
            note(APP_NOTE, [760, 40], [420, 210]),
            save("save", [760, 310], "kling/app", 420),
        ],
        [
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "motion", "motion_source.video"),
            ("motion", "video", "save", "video"),
        ],
        App([("image", "image"), ("clip", "file"), ("motion", "prompt")], ["save"]),
    ),
}
