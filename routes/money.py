"""The hold switch, totals and limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..kling_once.jobs.database import package_version
from ..kling_once.jobs.history import history
from ..kling_once.jobs.hold import held_since, hold, release
from ..kling_once.jobs.spending_limits import write_limits
from ..kling_once.jobs.totals import totals as sums
from ..kling_once.pages.money import history_csv as history_text
from ..kling_once.pages.money import limits_payload, totals_payload
from ..kling_once.pages.money import totals_csv as totals_text
from .refusals import json_answer

if TYPE_CHECKING:
    from ..kling_once.jobs.engine import Engine
    from .guard import Asked

HOLD_CHANGED = "hold"
"""What the page is told in place of a job's state."""


async def status(asked: Asked) -> web.Response:
    """Answer what the page shows around the list."""
    return json_answer(await asyncio.to_thread(_status, asked))


async def switch_hold(asked: Asked) -> web.Response:
    """Switch live submissions off, or on again."""
    engine, held = asked.engine, asked.values.held

    def change() -> None:
        database = engine.ledger().database
        if held:
            hold(database, engine.clock.now())
        else:
            release(database)

    await asyncio.to_thread(change)
    engine.watchers.tell("", HOLD_CHANGED)
    return json_answer(await asyncio.to_thread(_status, asked))


async def totals(asked: Asked) -> web.Response:
    """Answer what was spent."""
    return json_answer(totals_payload(await asyncio.to_thread(_sums, asked.engine)))


async def totals_csv(asked: Asked) -> web.Response:
    """Answer what was spent as a file."""
    return _csv(totals_text(await asyncio.to_thread(_sums, asked.engine)), "kling-once-totals.csv")


async def history_csv(asked: Asked) -> web.Response:
    """Answer every attempt as a file."""
    rows = await asyncio.to_thread(lambda: history(asked.engine.ledger().database))
    return _csv(history_text(rows), "kling-once-history.csv")


async def limits(asked: Asked) -> web.Response:
    """Change the spending limits."""
    wanted = {
        name: value
        for name in ("max_units_per_prompt", "max_units_per_day")
        if (value := getattr(asked.values, name)) is not None
    }
    engine = asked.engine
    settings = await asyncio.to_thread(write_limits, engine.settings, wanted)
    engine.use(settings)
    return json_answer(limits_payload(settings))


def _status(asked: Asked) -> dict[str, Any]:
    engine = asked.engine
    since = held_since(engine.ledger().database)
    return {
        "version": package_version(),
        "held_since": since.isoformat(timespec="seconds") if since else None,
        "may_change": asked.looks_local,
        "account_browse": engine.settings.account_browse,
        "limits": limits_payload(engine.settings),
    }


def _sums(engine: Engine) -> Any:
    return sums(engine.ledger().database, engine.clock.now())


def _csv(text: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, content_type="text/csv", headers=headers)
