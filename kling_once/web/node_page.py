"""A node before it runs: its price, and what would keep it from running."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import KlingOnceError
from ..jobs.services import has_host
from ..jobs.violations import order_notes, order_violations
from ..ledger.decision import Serve, next_step
from ..media.probe import probe_clip
from ..order import (
    MotionControl,
    Order,
    VideoFile,
    VideoUrl,
    realm_of,
)
from .node import (
    measured_payload,
    most_payload,
    orientation_of,
    rate_payload,
    read_node,
    rules_payload,
)
from .refusals import json_answer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from aiohttp import web

    from ..jobs.check import Checked
    from .guard import Asked
    from .node import NodeReading

KNOWN_AT_MOST = 64
_measurements: dict[tuple[object, ...], Future[Checked]] = {}
"""Of a picture and a clip as a node would send them, begun or done: a clip may take long to conform, and
whoever asks meanwhile, or after a change of what does not touch it, waits for the same."""


async def node(asked: Asked) -> web.Response:
    """Answer what running a node would cost."""
    prompt, node_id = asked.values.prompt, asked.values.node_id
    reading = read_node(prompt, node_id)
    if reading is None:
        return json_answer({"known": False})
    payload: dict[str, Any] = {
        "known": True,
        "service": reading.service.value,
        "wired": list(reading.wired),
        "paid": False,
        "rate": None,
        "price": None,
        "used": None,
        "violations": [],
        "notes": [],
        "report": [],
        "trouble": None,
    }
    try:
        origin = await asyncio.to_thread(asked.engine.accounts.origin, reading.service, reading.profile)
        signature = await asyncio.to_thread(asked.place.signature, prompt, node_id)
        realm = realm_of(reading.service, origin)
        payload["paid"] = await _is_paid(asked, signature, realm)
        payload |= await _priced(asked, reading, origin, china=realm == "china")
    except KlingOnceError as error:
        payload["trouble"] = str(error)
    return json_answer(payload)


async def _priced(asked: Asked, reading: NodeReading, origin: str, *, china: bool) -> dict[str, Any]:
    image, clip = await asyncio.to_thread(_files, asked, reading)
    order = _order(reading, image, clip)
    settings = asked.engine.settings
    hosted = has_host(settings, reading.service)
    broken = order_violations(order, origin, settings, has_host=hosted)
    found: dict[str, Any] = {
        "rate": rate_payload(reading, china=china),
        "notes": list(order_notes(order)),
        "violations": rules_payload(broken, reading.wired),
    }
    if reading.source == "url":
        return found | {"price": most_payload(reading, china=china)}
    if image is None or clip is None:
        return found
    checked = await _measured(asked, reading, image, clip)
    seconds = await asyncio.to_thread(_seconds, clip, _moment(clip))
    measured = measured_payload(reading, checked, seconds, china=china)
    return found | measured | {"violations": found["violations"] + measured["violations"]}


async def _measured(asked: Asked, reading: NodeReading, image: Path, clip: Path) -> Checked:
    """Measure and conform a node's media, or wait for who does; a request that goes away ends nothing."""
    orientation = orientation_of(reading)
    moments = await asyncio.to_thread(lambda: (_moment(image), _moment(clip)))
    name = (asked.engine, image, clip, *moments, orientation, reading.conform, reading.cuts)
    future = _measurements.get(name)
    if future is None:
        order = Order(
            image=image,
            video=VideoFile(clip),
            motion=MotionControl(character_orientation=orientation.value),
            conform=reading.conform,
            cuts=reading.cuts,
        )
        future = _measurements[name] = asked.engine.check(order)
        while len(_measurements) > KNOWN_AT_MOST:
            del _measurements[next(iter(_measurements))]
    try:
        return await asyncio.shield(asyncio.wrap_future(future))
    except BaseException:
        if future.done():
            _measurements.pop(name, None)
        raise


def _order(reading: NodeReading, image: Path | None, clip: Path | None) -> Order:
    return Order(
        image=image,
        video=VideoUrl(reading.url) if reading.source == "url" else VideoFile(clip or Path()),
        motion=reading.motion,
        service=reading.service,
        project=reading.project,
        profile=reading.profile,
        conform=reading.conform,
        cuts=reading.cuts,
        max_units=reading.max_units,
        wait_minutes=reading.wait_minutes,
        external_task_id=reading.external_task_id,
        callback_url=reading.callback_url,
    )


def _files(asked: Asked, reading: NodeReading) -> tuple[Path | None, Path | None]:
    if not reading.has_files or reading.source != "video":
        return None, None
    return asked.place.input_file(reading.image_file), asked.place.input_file(reading.video_file)


def _moment(path: Path) -> tuple[int, int]:
    """Return what changes with a file's content."""
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size


@lru_cache(KNOWN_AT_MOST)
def _seconds(clip: Path, _moment: tuple[int, int]) -> float | None:
    try:
        return probe_clip(clip).duration_seconds
    except KlingOnceError:
        return None


async def _is_paid(asked: Asked, signature: str, realm: str) -> bool:
    """Tell whether everything that this graph has ordered of a realm is kept, and its files are here."""
    ledger, store = await asked.engine.ledger(), asked.engine.store
    ordered = await ledger.ordered_jobs(signature)
    counting = [job_key for job_key, of in ordered.items() if of in {None, realm}]
    for job_key in counting:
        step = next_step(await ledger.attempts_of(job_key), again=False)
        if not isinstance(step, Serve):
            return False
        kept = step.attempt.result_path, step.attempt.result_size_bytes
        if not await asyncio.to_thread(store.has, *kept):
            return False
    return bool(counting)
