"""A node's inputs as an order."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..kling_once.errors import InputRefused, Violation
from . import host
from .graph import class_of, takers_of
from .inputs import FRAMES_SLOT
from .running import Running

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    from ..kling_once.order import Order, ReferenceVideo

    Choice = TypeVar("Choice", bound=StrEnum)


SIBLINGS_SECONDS = 0.2
"""ComfyUI starts all items of a list one after the other, far quicker than this."""
OFF_TEXT = "This ComfyUI was started with --disable-api-nodes, so nothing is asked of Kling."
COLLECT = "KlingOnce_CollectMotionControl"


async def order_of(node: Any, inputs: dict[str, Any]) -> Order:
    """Return the order that a run of a node stands for.

    Raises:
        InputRefused: the inputs cannot be an order.
    """
    from ..kling_once import order as job  # noqa: PLC0415 - nothing heavy before a node runs
    from ..kling_once.media.types import ConformMode  # noqa: PLC0415 - likewise
    from ..kling_once.order import Graph  # noqa: PLC0415 - likewise

    running = Running.of(node)
    _require_one_picture(inputs["image"])
    video = await _reference_video(inputs["motion_source"])
    service = choice(inputs, "service", job.Service.SANDBOX)
    own_id, is_decoded = text(inputs, "external_task_id"), _is_decoded(node, running)
    if own_id or is_decoded:
        await asyncio.sleep(SIBLINGS_SECONDS)
    items = len(running.items)
    return job.Order(
        image=inputs["image"],
        video=video,
        motion=_motion(inputs),
        service=service,
        project=text(inputs, "project"),
        profile=text(inputs, "profile"),
        conform=choice(inputs, "conform", ConformMode.AUTO),
        cuts=choice(inputs, "cuts", job.Cuts.REFUSE),
        max_units=Decimal(str(number(inputs, "max_units", 0))),
        wait_minutes=number(inputs, "wait_minutes", 60.0),
        external_task_id=own_id,
        callback_url=text(inputs, "callback_url"),
        is_one_of_several=items > 1,
        image_name=running.file_name("image"),
        video_name=running.file_name("motion_source.video"),
        spender=job.Spender(running.prompt_id, running.node_id),
        graph=Graph(running.signature, running.workflow),
        kept_only=bool(off_text(service)),
        decoded_items=items if is_decoded else 0,
    )


def _is_decoded(node: Any, running: Running) -> bool:
    """Tell whether something takes the frames of what is ordered, here or where it is collected."""
    types = node.RETURN_TYPES
    if len(types) > FRAMES_SLOT and types[FRAMES_SLOT] == "IMAGE":
        return bool(takers_of(running.prompt, running.node_id, FRAMES_SLOT))
    return any(
        class_of(running.prompt, taker) == COLLECT and takers_of(running.prompt, taker, FRAMES_SLOT)
        for taker in takers_of(running.prompt, running.node_id, 0)
    )


def off_text(service: str) -> str:
    """Return why this ComfyUI may not ask a service for anything; empty where it may."""
    return OFF_TEXT if service == "kling" and host.paid_services_are_off() else ""


def _motion(inputs: dict[str, Any]) -> Any:
    from ..kling_once.order import MotionControl  # noqa: PLC0415 - nothing heavy before a node runs

    usual = MotionControl()
    return MotionControl(
        prompt=text(inputs, "prompt"),
        model=text(inputs, "model", usual.model),
        mode=text(inputs, "mode", usual.mode),
        character_orientation=text(inputs, "character_orientation", usual.character_orientation),
        keep_original_sound=_yes(inputs, "keep_original_sound", usual=usual.keep_original_sound),
        element_id=text(inputs, "element_id").strip(),
        watermark=_yes(inputs, "watermark", usual=usual.watermark),
        take=whole_number(inputs, "take", usual.take),
    )


def _yes(inputs: dict[str, Any], name: str, *, usual: bool) -> bool:
    value = inputs.get(name)
    return usual if value is None else bool(value)


async def _reference_video(source: dict[str, Any]) -> ReferenceVideo:
    from ..kling_once.order import VideoUrl  # noqa: PLC0415 - nothing heavy before a node runs
    from .clips import clip_of, frames_clip  # noqa: PLC0415 - likewise

    kind = source["motion_source"]
    if kind == "url":
        return VideoUrl(text(source, "url").strip())
    if source.get(kind) is None:
        refuse(kind, f"Nothing came over motion_source.{kind}.")
    if kind == "frames":
        return frames_clip(source["frames"], _fps(source), source.get("audio"))
    return await host.in_thread(clip_of, source["video"])


def _fps(source: dict[str, Any]) -> float:
    fps = number(source, "fps", 30.0)
    if fps <= 0:
        refuse("fps", f"fps is {fps:g}; it must be more than 0.")
    return fps


def _require_one_picture(image: Any) -> None:
    if image is None:
        refuse("image", "Nothing came over image.")
    count = int(image.shape[0])
    if count == 0:
        refuse("image", "image is an empty batch.")
    if count > 1:
        refuse(
            "image",
            f"image is a batch of {count} pictures, and each would be a paid task. Put core's Rebatch Images"
            " with batch_size 1 before it to order one video for each, or pick one picture of the batch.",
        )


SHOWN_CHARACTERS = 40


def text(inputs: Mapping[str, Any], name: str, usual: str = "") -> str:
    """Return an input as text."""
    value = inputs.get(name)
    return usual if value is None else str(value)


def number(inputs: Mapping[str, Any], name: str, usual: float) -> float:
    """Return an input as a number.

    Raises:
        InputRefused: it is none.
    """
    value = inputs.get(name)
    try:
        found = float(usual if value is None else value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        refuse(name, f"{name} is {_shown(value)}; it must be a number.")
    return found


def whole_number(inputs: Mapping[str, Any], name: str, usual: int) -> int:
    """Return an input as a whole number.

    Raises:
        InputRefused: it is none.
    """
    found = number(inputs, name, usual)
    if not found.is_integer():
        refuse(name, f"{name} is {_shown(inputs[name])}; it must be a whole number.")
    return int(found)


def choice(inputs: Mapping[str, Any], name: str, usual: Choice) -> Choice:
    """Return an input as one of the values of `usual`'s kind.

    Raises:
        InputRefused: it is none of them.
    """
    kind, found = type(usual), text(inputs, name, usual)
    if found not in set(kind):
        refuse(name, f"{name} is {_shown(found)}; it may be: {'; '.join(kind)}.")
    return kind(found)


def refuse(name: str, message: str) -> NoReturn:
    """Refuse an input.

    Raises:
        InputRefused: always.
    """
    raise InputRefused([Violation(name, f"{name}.value", message)])


def _shown(value: Any) -> str:
    return repr(str(value)[:SHOWN_CHARACTERS])
