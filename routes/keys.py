"""Keys go in and never come out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from ..kling_once.errors import LedgerError
from ..kling_once.jobs.history import unfinished_tasks
from ..kling_once.jobs.job import Service
from ..kling_once.jobs.keyring import NewKey, forget_key, key_states, save_key
from ..kling_once.pages.keys import key_payload, keys_payload, tried_payload
from .refusals import json_answer

if TYPE_CHECKING:
    from aiohttp import web

    from .guard import Asked

PACKS_SPAN = timedelta(days=30)


async def keys(asked: Asked) -> web.Response:
    """Answer which profiles have a key."""
    states = await asyncio.to_thread(key_states, asked.engine.settings)
    unfinished = await asyncio.to_thread(_unfinished, asked)
    return json_answer(keys_payload(states, unfinished, may_change=asked.looks_local))


async def save(asked: Asked) -> web.Response:
    """Store a key."""
    values = asked.values
    key = NewKey(
        region=values.region,
        api_key=values.api_key.get_secret_value(),
        access_key=values.access_key.get_secret_value(),
        secret_key=values.secret_key.get_secret_value(),
    )
    work = partial(save_key, asked.engine.settings, values.profile, key, replace=values.replace)
    saved = await asyncio.to_thread(work)
    return json_answer(key_payload(saved, await asyncio.to_thread(_unfinished, asked)))


async def try_key(asked: Asked) -> web.Response:
    """Ask the account with a key."""
    asked.require_service(Service.KLING)
    future = asked.engine.packs(Service.KLING, asked.values.profile, PACKS_SPAN)
    return json_answer(tried_payload(await asyncio.wrap_future(future)))


async def forget(asked: Asked) -> web.Response:
    """Remove a key."""
    await asyncio.to_thread(forget_key, asked.engine.settings, asked.values.profile)
    return await keys(asked)


def _unfinished(asked: Asked) -> dict[str, int]:
    try:
        return unfinished_tasks(asked.engine.ledger().database)
    except LedgerError:  # keys lie in a file of their own
        return {}
