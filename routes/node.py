"""A node before it runs: its price, and what would keep it from running."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_direct.errors import KlingDirectError
from ..kling_direct.jobs.check import order_notes
from ..kling_direct.jobs.graphs import kept_files
from ..kling_direct.jobs.job import Order, VideoFile, VideoUrl, realm_of
from ..kling_direct.media.probe import probe_clip
from ..kling_direct.pages.node import checked_node_payload, most_payload, rate_payload, read_node
from .refusals import json_answer

if TYPE_CHECKING:
    from aiohttp import web

    from ..kling_direct.pages.node import NodeReading
    from .guard import Asked

KNOWN_AT_MOST = 64
_checked: dict[str, dict[str, Any]] = {}
"""What checks found, by the graph's signature, which changes with the files."""


async def node(asked: Asked) -> web.Response:
    """Answer what running a node would cost."""
    prompt, node_id = asked.values.prompt, asked.values.node_id
    reading = read_node(prompt, node_id)
    if reading is None:
        return json_answer({"known": False})
    signature = await asyncio.to_thread(asked.place.signature, prompt, node_id)
    payload: dict[str, Any] = {
        "known": True,
        "service": reading.service.value,
        "wired": list(reading.wired),
        "paid": await asyncio.to_thread(_is_paid, asked, signature),
        "rate": None,
        "price": None,
        "used": None,
        "violations": [],
        "notes": [],
        "report": [],
        "trouble": None,
    }
    try:
        payload |= await _priced(asked, reading, signature)
    except KlingDirectError as error:
        payload["trouble"] = str(error)
    return json_answer(payload)


async def _priced(asked: Asked, reading: NodeReading, signature: str) -> dict[str, Any]:
    engine = asked.engine
    origin = await asyncio.to_thread(engine.accounts.origin, reading.service, reading.profile)
    china = realm_of(reading.service, origin) == "china"
    found: dict[str, Any] = {"rate": rate_payload(reading, china=china)}
    if reading.source == "url":
        order = _order(reading, None, VideoUrl(reading.url))
        return found | {"price": most_payload(reading, china=china), "notes": list(order_notes(order))}
    image, clip = await asyncio.to_thread(_files, asked, reading)
    if image is None or clip is None:
        video = VideoFile(Path())
        return found | {"notes": list(order_notes(_order(reading, None, video)))}
    if signature not in _checked:
        checked = await asyncio.wrap_future(engine.check(_order(reading, image, VideoFile(clip))))
        seconds = await asyncio.to_thread(_seconds, clip)
        while len(_checked) >= KNOWN_AT_MOST:
            _checked.pop(next(iter(_checked)))
        _checked[signature] = checked_node_payload(checked, seconds)
    return found | _checked[signature]


def _order(reading: NodeReading, image: Path | None, video: VideoFile | VideoUrl) -> Order:
    return Order(
        image=image,
        video=video,
        motion=reading.motion,
        service=reading.service,
        profile=reading.profile,
        conform=reading.conform,
        cuts=reading.cuts,
        max_units=reading.max_units,
    )


def _files(asked: Asked, reading: NodeReading) -> tuple[Path | None, Path | None]:
    if not reading.has_files or reading.source != "video":
        return None, None
    return asked.place.input_file(reading.image_file), asked.place.input_file(reading.video_file)


def _seconds(clip: Path) -> float | None:
    try:
        return probe_clip(clip).duration_seconds
    except KlingDirectError:
        return None


def _is_paid(asked: Asked, signature: str) -> bool:
    engine = asked.engine
    kept = kept_files(engine.ledger().database, signature)
    return bool(kept) and all(engine.store.has(*one) for one in kept)
