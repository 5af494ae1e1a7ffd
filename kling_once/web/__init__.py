"""The page's routes: a plain aiohttp handler over an engine and a small protocol for the server around it.

Nothing heavy is imported before the first request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from ..jobs.engine import Engine
    from ..order import Service
    from .app import App

PREFIX: Final = "/kling_once"
ANY_PATH: Final = r"/{path:[\s\S]*}"
"""Also one with an encoded line break in it, which `.` would not match."""


class Host(Protocol):
    """The server that the routes are mounted on, such as ComfyUI. Its methods may block."""

    def engine(self) -> Engine:
        """Return the engine, the same one at every call.

        Raises:
            SettingsError: a setting cannot be used.
        """
        ...

    def output_folder(self) -> Path:
        """Return the folder from which the server's own page shows files."""
        ...

    def input_file(self, name: str) -> Path | None:
        """Return the file that a loader's widget names, None where that is no file of the server's."""
        ...

    def input_moment(self, name: str) -> float | None:
        """Return when an input file that a widget names was changed, None where it names none."""
        ...

    def is_watched(self) -> bool:
        """Tell whether a page is open."""
        ...

    def is_off(self, service: Service) -> bool:
        """Tell whether the operator forbids to ask a service for anything."""
        ...


def mount(routes: web.RouteTableDef, host: Host) -> None:
    """Add one catch-all route, below which `App` answers; the app is made with the first request."""
    apps: list[App] = []

    def load() -> None:
        from .app import App  # noqa: PLC0415 - nothing heavy when ComfyUI starts

        apps.append(App(host))

    async def handle(request: web.Request) -> web.StreamResponse:
        if not apps:
            await asyncio.to_thread(load)
        return await apps[0].handle(request)

    routes.route("*", PREFIX + ANY_PATH)(handle)
