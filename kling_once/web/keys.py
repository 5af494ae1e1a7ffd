"""Keys go in and never come out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..accounts.keyring import (
    ENVIRONMENT_NAMES,
    NewKey,
    forget_key,
    key_states,
    save_key,
)
from ..errors import LedgerError
from ..order import Service
from .payloads import number_of
from .refusals import json_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from ..accounts.keyring import KeyState
    from ..api.models import ResourcePack
    from .guard import Asked


PACKS_SPAN = timedelta(days=30)


async def keys(asked: Asked) -> web.Response:
    """Answer which profiles have a key."""
    states = await asyncio.to_thread(key_states, asked.engine.settings)
    unfinished = await _unfinished(asked)
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
    return json_answer(key_payload(saved, await _unfinished(asked)))


async def try_key(asked: Asked) -> web.Response:
    """Ask the account with a key."""
    asked.require_service(Service.KLING)
    future = asked.engine.packs(Service.KLING, asked.values.profile, PACKS_SPAN)
    return json_answer(tried_payload(await asyncio.wrap_future(future)))


async def forget(asked: Asked) -> web.Response:
    """Remove a key."""
    await asyncio.to_thread(forget_key, asked.engine.settings, asked.values.profile)
    return await keys(asked)


async def _unfinished(asked: Asked) -> dict[str, int]:
    try:
        return await (await asked.engine.ledger()).unfinished_tasks()
    except LedgerError:  # keys lie in a file of their own
        return {}


STATES: Final = {
    "environment": "configured, from environment",
    "file": "configured, from file",
    "missing": "missing",
}


def key_payload(state: KeyState, unfinished: Mapping[str, int]) -> dict[str, Any]:
    """Return one profile, never a part of its key; `unfinished` is how many tasks wait for which key."""
    return {
        "profile": state.profile,
        "state": STATES[state.source],
        "source": state.source,
        "region": state.region or None,
        "problem": state.problem or None,
        "unfinished": unfinished.get(state.profile, 0),
    }


def keys_payload(
    states: list[KeyState], unfinished: Mapping[str, int], *, may_change: bool
) -> dict[str, Any]:
    """Return every profile."""
    return {
        "profiles": [key_payload(state, unfinished) for state in states],
        "may_change": may_change,
        "variables": ENVIRONMENT_NAMES,
    }


def tried_payload(packs: tuple[ResourcePack, ...]) -> dict[str, Any]:
    """Return what an account said, which proves that its key is good."""
    online = [pack for pack in packs if pack.status == "online"]
    return {
        "ok": True,
        "packs": [
            {
                "name": pack.resource_pack_name,
                "left": number_of(pack.remaining_quantity),
                "of": number_of(pack.total_quantity),
                "until": pack.invalid_time.date().isoformat() if pack.invalid_time else None,
            }
            for pack in online
        ],
    }
