"""A node's inputs as an order."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..kling_direct.errors import InputRefused, Violation
from . import host
from .inputs import FRAMES_SLOT
from .running import Running

if TYPE_CHECKING:
    from ..kling_direct.jobs.job import Order, ReferenceVideo, Service

SIBLINGS_SECONDS = 0.2
"""ComfyUI starts all items of a list one after the other, far quicker than this."""
OFF_TEXT = "This ComfyUI was started with --disable-api-nodes, so nothing is asked of Kling."
_siblings: dict[tuple[str, str], set[int]] = {}


async def order_of(node: Any, inputs: dict[str, Any]) -> Order:
    """Return the order that a run of a node stands for.

    Raises:
        InputRefused: the inputs cannot be an order.
    """
    from ..kling_direct.jobs import job  # noqa: PLC0415 - likewise
    from ..kling_direct.jobs.graphs import Graph  # noqa: PLC0415 - nothing heavy before a node runs
    from ..kling_direct.media.types import ConformMode  # noqa: PLC0415 - likewise

    running = Running.of(node)
    _require_one_picture(inputs["image"])
    video = await _reference_video(inputs["motion_source"])
    service = job.Service(inputs.get("service", "sandbox"))
    own_id = str(inputs.get("external_task_id", ""))
    return job.Order(
        image=inputs["image"],
        video=video,
        motion=_motion(inputs),
        service=service,
        project=str(inputs.get("project", "")),
        profile=str(inputs.get("profile", "")),
        conform=ConformMode(inputs.get("conform", "auto")),
        cuts=job.Cuts(inputs.get("cuts", "refuse")),
        max_units=Decimal(str(inputs.get("max_units", 0))),
        wait_minutes=float(inputs.get("wait_minutes", 60.0)),
        external_task_id=own_id,
        callback_url=str(inputs.get("callback_url", "")),
        is_one_of_several=bool(own_id) and await _has_siblings(running),
        image_name=running.file_name("image"),
        video_name=running.file_name("motion_source.video"),
        spender=job.Spender(running.prompt_id, running.node_id),
        graph=Graph(running.signature, running.workflow),
        kept_only=off_text(service),
        wants_frames=len(node.RETURN_TYPES) > FRAMES_SLOT
        and node.RETURN_TYPES[FRAMES_SLOT] == "IMAGE"
        and running.is_wired(FRAMES_SLOT),
    )


def off_text(service: Service) -> str:
    """Return why this ComfyUI may not ask a service for anything; empty where it may."""
    return OFF_TEXT if service == "kling" and host.paid_services_are_off() else ""


def _motion(inputs: dict[str, Any]) -> Any:
    from ..kling_direct.jobs.job import MotionControl  # noqa: PLC0415 - nothing heavy before a node runs

    usual = MotionControl()
    return MotionControl(
        prompt=str(inputs.get("prompt", usual.prompt)),
        model=str(inputs.get("model", usual.model)),
        mode=str(inputs.get("mode", usual.mode)),
        character_orientation=str(inputs.get("character_orientation", usual.character_orientation)),
        keep_original_sound=bool(inputs.get("keep_original_sound", usual.keep_original_sound)),
        element_id=str(inputs.get("element_id", usual.element_id)).strip(),
        watermark=bool(inputs.get("watermark", usual.watermark)),
        take=int(inputs.get("take", usual.take)),
    )


async def _reference_video(source: dict[str, Any]) -> ReferenceVideo:
    from ..kling_direct.jobs.job import VideoUrl  # noqa: PLC0415 - nothing heavy before a node runs
    from .clips import clip_of, frames_clip  # noqa: PLC0415 - likewise

    kind = source["motion_source"]
    if kind == "url":
        return VideoUrl(str(source.get("url") or "").strip())
    if kind == "frames":
        return frames_clip(source["frames"], source.get("fps") or 30.0, source.get("audio"))
    return await host.in_thread(clip_of, source["video"])


def _require_one_picture(image: Any) -> None:
    count = int(image.shape[0])
    if count == 1:
        return
    message = (
        f"image is a batch of {count} pictures, and each would be a paid task. Put core's Rebatch Images"
        " with batch_size 1 before it to order one video for each, or pick one picture of the batch."
        if count
        else "image is an empty batch."
    )
    raise InputRefused([Violation("image", "image.batch", message)])


async def _has_siblings(running: Running) -> bool:
    """Tell whether this run is one of several items of a list."""
    place = (running.prompt_id, running.node_id)
    seen = _siblings.setdefault(place, set())
    seen.add(running.index)
    await asyncio.sleep(SIBLINGS_SECONDS)
    _siblings.pop(place, None)
    return len(seen) > 1
