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
class Plan:
    """One workflow; a link is (node, output, node, input)."""

    nodes: list[Node]
    links: list[tuple[str, str, str, str]]


CHARACTER = {"image": "kling_once_character.png"}
MOTION = {"file": "kling_once_motion.mp4"}
LONG_MOTION = {"file": "kling_once_long_motion.mp4"}


def note(text: str, pos: list[int], size: list[int]) -> Node:
    """Return a note."""
    return Node("note", "MarkdownNote", pos, {"text": text}, size)


def character(pos: list[int]) -> Node:
    """Return the reference image."""
    return Node("image", "LoadImage", pos, dict(CHARACTER), [300, 330], "Reference image: the character")


def clip(pos: list[int]) -> Node:
    """Return the reference video."""
    return Node("clip", "LoadVideo", pos, dict(MOTION), [300, 330], "Reference video: the motion")


def save(name: str, pos: list[int], prefix: str) -> Node:
    """Return where the result is saved."""
    return Node(name, "SaveVideo", pos, {"filename_prefix": prefix}, [420, 420])


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
ELEMENT_NOTE = """## A character that stays the same

**Create Element** makes an element of a frontal picture and 1 to 3 other views: Kling keeps that character's looks. It is
made **once**; queue again and the same element is used. 0 units were seen for one, no page names a price.

Elements are documented for `kling-v3`, and the character then faces as in the video. An element that you have already
comes from **Kling Once Element**, or by the button *Choose an element* at the node.
"""
LONG_NOTE = """## A long dance

Kling takes **30 s** at once. **Split Video** divides 75 s where the dancer rests, each part becomes a task, and
**Join Videos** makes one video of the results, with its sound.

Queue again as often as you like: no part is bought twice. With **on_failure** on `skip`, a part that Kling refuses is
left out, and the report names it.
"""

PLANS = {
    "1 motion control": Plan(
        [
            note(FIRST_NOTE, [40, 40], [420, 260]),
            character([40, 360]),
            clip([40, 760]),
            Node("motion", "KlingOnce_MotionControl", [500, 360], size=[400, 620]),
            save("save", [960, 360], "kling/motion"),
        ],
        [
            ("image", "IMAGE", "motion", "image"),
            ("clip", "VIDEO", "motion", "motion_source.video"),
            ("motion", "video", "save", "video"),
        ],
    ),
    "2 from frames with sound": Plan(
        [
            note(FRAMES_NOTE, [40, 40], [420, 200]),
            character([40, 300]),
            clip([40, 700]),
            Node("parts", "GetVideoComponents", [400, 700], size=[240, 120]),
            Node("motion", "KlingOnce_MotionControl", [700, 300], {"motion_source": "frames"}, [400, 680]),
            save("save", [1160, 300], "kling/from frames"),
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
            note(CHECK_NOTE, [40, 40], [420, 200]),
            character([40, 300]),
            clip([40, 700]),
            Node(
                "check",
                "KlingOnce_CheckMotionControl",
                [400, 300],
                {"model": "kling-v3", "mode": "pro"},
                [400, 680],
            ),
            Node("report", "PreviewAny", [860, 300], size=[420, 220]),
            Node("picture", "PreviewImage", [860, 580], size=[300, 320]),
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
            note(PARALLEL_NOTE, [40, 40], [420, 230]),
            character([40, 330]),
            Node(
                "other", "ImageInvert", [400, 330], size=[220, 60], title="Stands in for a second character"
            ),
            clip([40, 730]),
            Node("submit1", "KlingOnce_SubmitMotionControl", [680, 330], size=[400, 560]),
            Node("submit2", "KlingOnce_SubmitMotionControl", [680, 1150], size=[400, 560]),
            Node("collect1", "KlingOnce_CollectMotionControl", [1140, 330], size=[280, 260]),
            Node("collect2", "KlingOnce_CollectMotionControl", [1140, 1150], size=[280, 260]),
            save("save1", [1480, 330], "kling/first"),
            save("save2", [1480, 1150], "kling/second"),
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
            note(FETCH_NOTE, [40, 40], [420, 230]),
            character([40, 330]),
            clip([40, 730]),
            Node("submit", "KlingOnce_SubmitMotionControl", [400, 330], size=[400, 560]),
            Node("fetch", "KlingOnce_FetchTask", [860, 330], size=[320, 300]),
            save("save", [1240, 330], "kling/fetched"),
            Node("list", "KlingOnce_ListTasks", [400, 1150], size=[320, 180]),
            Node("table", "PreviewAny", [860, 1150], size=[640, 200]),
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
            note(UPSCALE_NOTE, [40, 40], [420, 200]),
            character([40, 300]),
            clip([40, 700]),
            Node("motion", "KlingOnce_MotionControl", [400, 300], size=[400, 620]),
            Node(
                "upscale",
                "ImageScaleBy",
                [860, 300],
                {"upscale_method": "bicubic", "scale_by": 1.25},
                [280, 100],
            ),
            Node("video", "CreateVideo", [1200, 300], size=[260, 130]),
            save("save", [1520, 300], "kling/upscaled"),
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
            note(LONG_NOTE, [40, 40], [420, 250]),
            character([40, 350]),
            Node("clip", "LoadVideo", [40, 740], dict(LONG_MOTION), [300, 330], "Reference video: 75 s"),
            Node("split", "KlingOnce_SplitVideo", [400, 740], size=[300, 200]),
            Node("motion", "KlingOnce_MotionControl", [760, 350], size=[400, 620]),
            Node("join", "KlingOnce_JoinVideos", [1220, 350], size=[300, 340]),
            Node("report", "PreviewAny", [1220, 760], size=[300, 210]),
            save("save", [1580, 350], "kling/long dance"),
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
            note(ELEMENT_NOTE, [40, 40], [420, 280]),
            character([40, 380]),
            Node("views", "ImageInvert", [400, 380], size=[240, 60], title="Stands in for another view"),
            clip([40, 780]),
            Node(
                "element",
                "KlingOnce_CreateElement",
                [700, 380],
                {"name": "Mia", "description": "The drawn character of the example"},
                [360, 420],
            ),
            Node("motion", "KlingOnce_MotionControl", [1120, 380], {"model": "kling-v3"}, [400, 660]),
            save("save", [1580, 380], "kling/element"),
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
}
