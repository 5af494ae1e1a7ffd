"""The routes on a plain aiohttp server, with an engine over a fresh home and a sandbox as the service.

ComfyUI loads the pack as one package with relative imports; so does this, under a name of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from tests.ledger.stores import spare_migrations
from tests.open_ledger import ask_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PACK = "kling_once_pack"


def part(name: str) -> Any:
    """Return a module of the pack, such as `kling_once.jobs.engine`."""
    if PACK not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[PACK] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{PACK}.{name}")


class PageHost:
    """What the routes ask of the server around them."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def engine(self) -> Any:
        return self.served.engine

    def output_folder(self) -> Path:
        return self.served.folders["output"]

    def input_file(self, name: str) -> Path | None:
        root = self.served.folders["input"].resolve()
        path = (root / name).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None

    def signature(self, prompt: dict[str, Any], node_id: str) -> str:
        return part("kling_once.web.graph").signature(prompt, node_id, self.input_moment)

    def is_off(self, service: str) -> bool:
        return self.served.is_off and service == "kling"

    def is_watched(self) -> bool:
        return True

    def input_moment(self, name: str) -> float | None:
        path = self.input_file(name) if name and "\0" not in name and len(name) < 500 else None
        return path.stat().st_mtime if path else None


class Served:
    """A running server, its engine, and a client that looks like a page on this machine."""

    def __init__(self, engine: Any, folders: dict[str, Path]) -> None:
        self.engine = engine
        self.folders = folders
        self.host = PageHost(self)
        self.is_off = False
        """The live service, as with --disable-api-nodes."""
        self.events: list[tuple[str, str]] = []
        engine.watchers.add(lambda key, state: self.events.append((key, state)))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)
        self.origin = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(
            base_url=self.origin, headers={"Origin": self.origin}, trust_env=False, verify=False, timeout=60
        )

    async def _start(self) -> int:
        routes = web.RouteTableDef()
        part("kling_once.web").mount(routes, self.host)
        app = web.Application(client_max_size=200 * 1024 * 1024)
        app.add_routes(routes)
        for route in routes:  # as ComfyUI does
            assert isinstance(route, web.RouteDef)
            app.router.add_route(route.method, f"/api{route.path}", route.handler)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return self._runner.addresses[0][1]

    def stop(self) -> None:
        self.http.close()
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
        self.engine.close()

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"/kling_once{path}", params=params)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"/kling_once{path}", json={} if body is None else body, headers=names)

    def order(self, **changes: Any) -> Any:
        """Return an order of the small inputs, of the pack's own types."""
        job = part("kling_once.order")
        motion = {
            name: changes.pop(name)
            for name in tuple(changes)
            if name in job.MotionControl.__dataclass_fields__
        }
        known = {
            "image": self.folders["input"] / "figure.png",
            "video": job.VideoFile(self.folders["input"] / "walk.mp4"),
            "motion": job.MotionControl(**motion),
            "service": job.Service.SANDBOX,
            "spender": job.Spender("prompt", "node"),
        }
        return job.Order(**(known | changes))

    def run(self, **changes: Any) -> str:
        """Make a video and return its job key."""
        return self.engine.run(self.order(**changes)).result(60).attempt.job_key


@pytest.fixture
def folders(tmp_path: Path, hermetic: None, small_picture: Path, small_clip: Path) -> dict[str, Path]:
    made = {"input": tmp_path / "input", "output": tmp_path}
    made["input"].mkdir()
    (made["input"] / "figure.png").write_bytes(small_picture.read_bytes())
    (made["input"] / "walk.mp4").write_bytes(small_clip.read_bytes())
    return made


@pytest.fixture
def serve(folders: dict[str, Path]) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(**settings: Any) -> Served:
        loaded = part("kling_once.settings").load_settings(**settings)
        spare_migrations(loaded)
        running.append(Served(part("kling_once.jobs.engine").Engine(loaded), folders))
        return running[-1]

    yield start
    for served in running:
        served.stop()


@pytest.fixture
def served(serve: Callable[..., Served], sandbox: Any) -> Served:
    return serve()


@pytest.fixture
def code_of() -> Callable[[Served], str]:
    """Return what `kling-once keys allow` would print."""
    return lambda served: ask_ledger(served.engine, lambda ledger: ledger.allow_once())


def graph_of(**inputs: Any) -> dict[str, Any]:
    """Return an API prompt: two loaders and Motion Control as node 3."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "figure.png"}},
        "2": {"class_type": "LoadVideo", "inputs": {"file": "walk.mp4"}},
        "3": {
            "class_type": "KlingOnce_MotionControl",
            "inputs": {
                "image": ["1", 0],
                "model": "kling-v2-6",
                "mode": "std",
                "service": "kling",
                "motion_source": "video",
                "motion_source.video": ["2", 0],
            }
            | inputs,
        },
    }


@pytest.fixture(name="graph_of")
def graph_of_fixture() -> Callable[..., dict[str, Any]]:
    return graph_of


@pytest.fixture(name="part")
def part_fixture() -> Callable[[str], Any]:
    return part
