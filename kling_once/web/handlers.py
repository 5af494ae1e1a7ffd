"""Which function answers which endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import (
    account,
    jobs,
    keys,
    money,
)
from . import node_page as node
from .guard import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from .app import Place
    from .endpoints import Endpoint
    from .guard import Handler

HANDLERS: Final[dict[str, Handler]] = {
    "status": money.status,
    "jobs": jobs.jobs,
    "job": jobs.job,
    "job_workflow": jobs.job_workflow,
    "job_picture": jobs.job_picture,
    "job_poster": jobs.job_poster,
    "job_video": jobs.job_video,
    "collect": jobs.collect,
    "forget": jobs.forget,
    "totals": money.totals,
    "history_csv": money.history_csv,
    "totals_csv": money.totals_csv,
    "hold": money.switch_hold,
    "limits": money.limits,
    "keys": keys.keys,
    "save_key": keys.save,
    "try_key": keys.try_key,
    "forget_key": keys.forget,
    "account": account.account,
    "adopt": account.adopt,
    "node": node.node,
}


def handler_of(endpoint: Endpoint, place: Place) -> Callable[[web.Request], Awaitable[Any]]:
    """Return an endpoint's handler behind its guard."""
    return guarded(endpoint, HANDLERS[endpoint.name], place)
