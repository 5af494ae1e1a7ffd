"""The element library: orders of elements, their views in both generations, presets, and deleting.

Written from the pages of the snapshots of 2026-09 and 2026-11 alone. Where they are silent, the choice is
stated beside the rule.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .references import Unusable
from .rules import (
    LONGEST_ID,
    MEGABYTE,
    check_callback,
    check_image,
    check_text,
    check_url,
    field_problems,
    kind_of,
    one_of,
)
from .tasks import insert, reproducible_id, task_columns
from .wire import INVALID_VALUE, Refusal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from fractions import Fraction

    from .faults import Fault
    from .options import SandboxOptions
    from .references import Fetcher
    from .rules import ClipFacts
    from .tasks import Task

ELEMENTS_PATH: Final = "/v1/general/advanced-custom-elements"
PRESETS_PATH: Final = "/v1/general/advanced-presets-elements"
DELETE_PATHS: Final = ("/v1/general/delete-advanced-elements", "/v1/general/delete-elements")
"""One is of the English pages, one of the Chinese; both were seen to delete from the same store."""
MATERIAL_PATH: Final = "/sandbox/elements/"
"""Below it lie the pictures and clips that elements were made of, and those of the presets."""

NAME_MAX_CHARACTERS: Final = 20
DESCRIPTION_MAX_CHARACTERS: Final = 100
MOST_VIEWS: Final = 3
PICTURE_MAX_BYTES: Final = 10 * MEGABYTE
CLIP_MAX_BYTES: Final = 200 * MEGABYTE
CLIP_SECONDS: Final = (3, 8)
CLIP_SIDES_PX: Final = (1080, 1920)
TAGS: Final = tuple(f"o_{number}" for number in range(101, 109))
OWNER: Final = "sandbox-account"
ELEMENT_TYPES: Final = {"image_refer": "multi_image_elements", "video_refer": "video_character_elements"}
PRESETS: Final = {
    "160": ("Astronaut", "A woman in an orange space suit", ["o_102"]),
    "161": ("Courier", "A young man with a red rucksack", ["o_102"]),
    "163": ("Terrier", "A small white dog with brown ears", ["o_103"]),
}
"""Official elements; their ids are those of the documentation's examples, the rest is made up."""


@dataclass(frozen=True)
class ElementOrder:
    """The fields of a valid create."""

    name: str
    description: str
    reference_type: str
    pictures: tuple[str, ...]
    """The frontal picture, then the others."""
    video_url: str | None
    voice_id: str | None
    tags: tuple[str, ...]
    callback_url: str | None
    external_task_id: str | None


@dataclass(frozen=True)
class ElementDraft:
    """A create whose fields and files are valid; paths are relative to the state."""

    order: ElementOrder
    pictures: tuple[str, ...]
    clip: str | None


def _short_text(most: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        wrong = check_text(value)
        if wrong is None and not value:
            return "must not be empty"
        if wrong is None and len(value) > most:
            return f"cannot exceed {most} characters, got {len(value)}"
        return wrong

    return check


def _pictures(value: Any) -> str | None:
    if not isinstance(value, dict) or set(value) != {"frontal_image", "refer_images"}:
        return "must be an object of the form {frontal_image, refer_images: [{image_url}]}"
    others = value["refer_images"]
    if not isinstance(others, list) or not all(
        isinstance(item, dict) and set(item) == {"image_url"} for item in others
    ):
        return "refer_images must be an array of objects of the form {image_url}"
    if not 1 <= len(others) <= MOST_VIEWS:
        return f"refer_images must hold 1 to {MOST_VIEWS} images, got {len(others)}"
    texts = [value["frontal_image"], *(item["image_url"] for item in others)]
    wrong = next(filter(None, (check_image(text, PICTURE_MAX_BYTES) for text in texts)), None)
    if wrong is None and texts[0] in texts[1:]:
        return "refer_images must differ from frontal_image"
    return wrong


def _videos(value: Any) -> str | None:
    right = (
        isinstance(value, dict)
        and set(value) == {"refer_videos"}
        and isinstance(value["refer_videos"], list)
        and len(value["refer_videos"]) == 1
        and isinstance(value["refer_videos"][0], dict)
        and set(value["refer_videos"][0]) == {"video_url"}
    )
    if not right:
        return "must be an object of the form {refer_videos: [{video_url}]} with one video"
    return check_url(value["refer_videos"][0]["video_url"])


def _tags(value: Any) -> str | None:
    right = isinstance(value, list) and all(
        isinstance(item, dict) and set(item) == {"tag_id"} and item["tag_id"] in TAGS for item in value
    )
    return None if right else f"must be an array of objects of the form {{tag_id}}, {TAGS[0]} to {TAGS[-1]}"


FIELDS: Final[dict[str, tuple[bool, Callable[[Any], str | None]]]] = {
    "element_name": (True, _short_text(NAME_MAX_CHARACTERS)),
    "element_description": (True, _short_text(DESCRIPTION_MAX_CHARACTERS)),
    "reference_type": (True, one_of(*ELEMENT_TYPES)),
    "element_image_list": (False, _pictures),
    "element_video_list": (False, _videos),
    "element_voice_id": (False, check_text),
    "tag_list": (False, _tags),
    "callback_url": (False, check_callback),
    "external_task_id": (False, check_text),
}
"""Every field of the page: whether it is required, and its check."""
MATERIAL: Final = {"image_refer": "element_image_list", "video_refer": "element_video_list"}


def read_element_order(body: Any, *, ignore_unknown: bool = False) -> ElementOrder:
    """Check every field of a create.

    Not documented and decided here: the list of the other `reference_type` is refused.

    Raises:
        Refusal: code 1201; the message names every field that is wrong, up to 30.
    """
    problems = field_problems(body, FIELDS, ignore_unknown=ignore_unknown)
    kind = body.get("reference_type")
    for other, name in MATERIAL.items():
        if kind in MATERIAL and (name in body) is not (other == kind):
            problems.append(f"{name}: is {'required' if other == kind else 'not'} for {kind}")
    if problems:
        raise Refusal(INVALID_VALUE, "; ".join(problems[:30]))
    images = body.get("element_image_list")
    videos = body.get("element_video_list")
    return ElementOrder(
        name=body["element_name"],
        description=body["element_description"],
        reference_type=body["reference_type"],
        pictures=(images["frontal_image"], *(item["image_url"] for item in images["refer_images"]))
        if images
        else (),
        video_url=videos["refer_videos"][0]["video_url"] if videos else None,
        voice_id=body.get("element_voice_id") or None,
        tags=tuple(item["tag_id"] for item in body.get("tag_list", [])),
        callback_url=body.get("callback_url") or None,
        external_task_id=body.get("external_task_id") or None,
    )


async def element_draft(fetcher: Fetcher, order: ElementOrder) -> ElementDraft:
    """Fetch and check the material of a create.

    Raises:
        Refusal: code 1201; the message names everything that is wrong.
    """
    problems: list[str] = []
    names = ["frontal_image", *(f"refer_images[{n}]" for n in range(len(order.pictures) - 1))]
    pictures = [
        await fetcher.picture(text, f"element_image_list.{name}", PICTURE_MAX_BYTES, problems)
        for name, text in zip(names, order.pictures, strict=False)
    ]
    if pictures and pictures[0] in pictures[1:]:
        problems.append("element_image_list: refer_images must differ from frontal_image")
    path = None
    if order.video_url is not None:
        try:
            path, facts = await fetcher.clip(order.video_url, CLIP_MAX_BYTES)
            problems += [f"element_video_list: {wrong}" for wrong in judge_element_clip(facts)]
        except Unusable as error:
            problems.append(f"element_video_list: {error}")
    if problems:
        raise Refusal(INVALID_VALUE, "; ".join(problems[:30]))
    return ElementDraft(
        order,
        tuple(fetcher.relative(picture) for picture in pictures if picture is not None),
        fetcher.relative(path) if path is not None else None,
    )


def judge_element_clip(facts: ClipFacts) -> list[str]:
    """Return a message for every documented limit that an element's clip breaks; 1080p is taken exactly."""
    problems = []
    if facts.size_bytes > CLIP_MAX_BYTES:
        problems.append(f"file size must be <= 200 MB, got {facts.size_bytes} bytes")
    if tuple(sorted((facts.width_px, facts.height_px))) != CLIP_SIDES_PX:
        problems.append(f"must be 1080p in 16:9 or 9:16, got {facts.width_px}x{facts.height_px}")
    seconds: Fraction = facts.duration_seconds
    if not CLIP_SECONDS[0] <= seconds <= CLIP_SECONDS[1]:
        problems.append(f"the duration must be 3 to 8 s, got {float(seconds):.3f} s")
    return problems


def accept_element(
    connection: sqlite3.Connection, draft: ElementDraft, settings: SandboxOptions, fault: Fault, now: float
) -> Task:
    """Make the task of an element. It costs nothing, and does not count for the parallel limit."""
    order = draft.order
    known = {
        "name": order.name,
        "description": order.description,
        "reference_type": order.reference_type,
        "pictures": draft.pictures,
        "clip": draft.clip,
        "tags": order.tags,
        "voice_id": order.voice_id,
        "deleted": False,
    }
    columns = task_columns(order.external_task_id, settings, fault, now) | {
        "callback_url": order.callback_url,
        "watermark": False,
        "sound": False,
        "mode": "",
        "picture": "",
        "clip": "",
        "frames": 0,
        "units": "0",
        "element": json.dumps(known),
    }
    task = insert(connection, columns)
    element_id = reproducible_id("element", task.n, order.external_task_id)
    connection.execute("UPDATE tasks SET element_id = ? WHERE n = ?", (element_id, task.n))
    return task


def delete_element(connection: sqlite3.Connection, body: Any) -> dict[str, Any]:
    """Mark an element of the account as deleted; return what the page answers.

    Not documented and decided here: the id is text, as on the page; an id that the account does not have,
    a deleted one and a preset are refused with 1201.

    Raises:
        Refusal: code 1201.
    """
    if not isinstance(body, dict) or set(body) != {"element_id"}:
        raise Refusal(INVALID_VALUE, 'the body must be an object of the form {"element_id": "..."}')
    element_id = body["element_id"]
    if not isinstance(element_id, str) or not re.fullmatch(r"[1-9][0-9]{0,18}", element_id):
        raise Refusal(INVALID_VALUE, f"element_id: must be a string of digits, got {kind_of(element_id)}")
    row = connection.execute(
        "SELECT n, task_id, element FROM tasks WHERE element_id = ? AND status = 'succeed'", (element_id,)
    ).fetchone()
    known = json.loads(row["element"]) if row else None
    if known is None or known["deleted"] or int(element_id) > LONGEST_ID:
        raise Refusal(INVALID_VALUE, f"Element not found by id: {element_id}")
    connection.execute(
        "UPDATE tasks SET element = ? WHERE n = ?", (json.dumps(known | {"deleted": True}), row["n"])
    )
    return {"task_id": row["task_id"], "task_status": "succeed"}


def element_result(task: Task, origin: str) -> dict[str, Any]:
    """Return `task_result` of a legacy query; an empty object until the task has succeeded."""
    if task.element is None or task.status != "succeed":
        return {}
    known = json.loads(task.element)
    pictures = [f"{origin}{MATERIAL_PATH}{path.rpartition('/')[2]}" for path in known["pictures"]]
    return {"elements": [_legacy_element(int(task.element_id or 0), known, OWNER, pictures, origin)]}


def _legacy_element(
    element_id: int, known: dict[str, Any], owner: str, pictures: list[str], origin: str
) -> dict[str, Any]:
    element: dict[str, Any] = {
        "element_id": element_id,
        "element_name": known["name"],
        "element_description": known["description"],
        "reference_type": known["reference_type"],
        "tag_list": [{"tag_id": tag} for tag in known["tags"]],
        "owned_by": owner,
        "status": "deleted" if known["deleted"] else "succeed",
    }
    if pictures:
        others = [{"image_url": url} for url in pictures[1:]]
        element["element_image_list"] = {"frontal_image": pictures[0], "refer_images": others}
    if known["clip"]:
        url = f"{origin}{MATERIAL_PATH}{known['clip'].rpartition('/')[2]}"
        element["element_video_list"] = {"refer_videos": [{"video_url": url}]}
    if known["voice_id"]:
        element["element_voice_info"] = {"voice_id": known["voice_id"]}
    return element


def element_outputs(task: Task, origin: str) -> list[dict[str, Any]]:
    """Return `outputs` of the standard generation.

    Not documented and decided here: `references` are the URLs of the material, the frontal picture first.
    """
    if task.element is None or task.status != "succeed":
        return []
    known = json.loads(task.element)
    material = [*known["pictures"], *([known["clip"]] if known["clip"] else [])]
    return [
        {
            "type": "element",
            "id": task.element_id,
            "name": known["name"],
            "description": known["description"],
            "element_type": ELEMENT_TYPES[known["reference_type"]],
            "references": [{"url": f"{origin}{MATERIAL_PATH}{path.rpartition('/')[2]}"} for path in material],
            "owned_by": OWNER,
            "status": "deleted" if known["deleted"] else "succeed",
            "tags": list(known["tags"]),
        }
    ]


def preset_views(origin: str, now_ms: int) -> list[dict[str, Any]]:
    """Return the official elements as the list of presets shows them: as tasks that have succeeded."""
    views = []
    for preset_id, (name, description, tags) in PRESETS.items():
        known = {
            "name": name,
            "description": description,
            "reference_type": "image_refer",
            "tags": tags,
            "clip": None,
            "voice_id": None,
            "deleted": False,
        }
        pictures = [f"{origin}{MATERIAL_PATH}preset-{preset_id}.png"]
        views.append(
            {
                "task_id": f"8{preset_id:0>17}",
                "task_status": "succeed",
                "task_status_msg": "",
                "task_info": {},
                "task_result": {
                    "elements": [_legacy_element(int(preset_id), known, "kling", pictures, origin)]
                },
                "created_at": now_ms,
                "updated_at": now_ms,
            }
        )
    return views


def preset_picture(name: str) -> bytes | None:
    """Return the picture of an official element, drawn here; None for a name that is none."""
    match = re.fullmatch(r"preset-([0-9]{3})\.png", name)
    if match is None or match[1] not in PRESETS:
        return None
    from io import BytesIO  # noqa: PLC0415 - heavy, needed only here

    from PIL import Image, ImageDraw  # noqa: PLC0415 - likewise

    number = int(match[1])
    picture = Image.new("RGB", (320, 320), (40 + number % 7 * 20, 60, 160 - number % 5 * 20))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((110, 50, 210, 150), fill=(235, 205, 180))
    draw.rectangle((90, 160, 230, 320), fill=(220, 120, 40))
    draw.text((8, 300), f"SANDBOX {PRESETS[match[1]][0]}", fill=(255, 255, 255))
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
