"""Add the page's routes to a server. What answers them is loaded with the first request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp import web

    from ..jobs.engine import Engine
    from .endpoints import Endpoint


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


@dataclass(frozen=True)
class Place:
    """The server around the routes."""

    engine: Callable[[], Engine]
    """Return the engine that the nodes use as well; may block."""
    output_folder: Callable[[], Path]
    """Where ComfyUI shows files from."""
    input_file: Callable[[str], Path | None]
    """Return the file that a loader's widget names, None for anything that is not in ComfyUI's folders."""
    signature: Callable[[dict[str, Any], str], str]
    """Return the hash of a node and everything that leads to it, from an API prompt."""
    off_text: Callable[[str], str]
    """Return why a service may not be asked for anything, such as `kling`; empty where it may."""
