"""Add the page's routes to a server. What answers them is loaded with the first request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..kling_once.pages.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from ..kling_once.pages.endpoints import Endpoint
    from .place import Place


def register(routes: web.RouteTableDef, place: Place) -> None:
    """Add every route of the page to a table."""
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            routes.get(endpoint.path)(_loaded_late(endpoint, place))
        else:
            routes.post(endpoint.path)(_loaded_late(endpoint, place))


def _loaded_late(endpoint: Endpoint, place: Place) -> Callable[[web.Request], Awaitable[Any]]:
    loaded: list[Callable[[web.Request], Awaitable[Any]]] = []

    def load() -> None:
        from .handlers import handler_of  # noqa: PLC0415 - nothing heavy when ComfyUI starts

        loaded.append(handler_of(endpoint, place))

    async def handle(request: web.Request) -> web.StreamResponse:
        if not loaded:
            await asyncio.to_thread(load)
        return await loaded[0](request)

    return handle
