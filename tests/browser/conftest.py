"""Debian's Chromium before a real ComfyUI with the pack, and a sandbox as the service.

REQUIRE_BROWSER=1 makes a missing Chromium or Playwright a failure, REQUIRE_COMFYUI=1 a missing ComfyUI.
Screenshots go to the folder that SCREENSHOTS names, else to `artifacts/`, which git ignores.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kling_once.sandbox import DEFAULT_API_KEY
from tests import ports
from tests.browser.screens import Screen
from tests.host import waiting
from tests.host.comfy import Comfy, require_host
from tests.host.sandbox_process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = Path(os.environ.get("SCREENSHOTS") or ROOT / "artifacts")
CHROMIUM = Path(os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium"))
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STUDIO = "studio"
"""A profile whose live service is played by the sandbox."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def host() -> Any:
    return require_host("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    missing = None if CHROMIUM.exists() else f"{CHROMIUM} does not exist (CHROMIUM_PATH)"
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - for this lane alone
    except ImportError as error:
        missing = str(error)
    if missing:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"REQUIRE_BROWSER=1, and {missing}")
        pytest.skip(f"the browser lane needs Chromium and Playwright: {missing}")
    with sync_playwright() as playwright:  # pyright: ignore[reportPossiblyUnboundVariable]
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), "--quick-results")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def comfy_at(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Make a ComfyUI over a fresh folder; start and stop it yourself."""

    def make(**environment: str) -> Any:
        base = tmp_path_factory.mktemp("comfy")
        home = {
            "KLING_ONCE_HOME": str(base / "home"),
            "XDG_CONFIG_HOME": str(base / "config"),
            "KLING_ONCE_POLL_SECONDS": "0.2",
        }
        return Comfy(host, base, home | environment)

    return make


@pytest.fixture(scope="session")
def comfy(comfy_at: Callable[..., Any], sandbox: Any) -> Iterator[Any]:
    """One ComfyUI for most tests: its sandbox is `sandbox`, and so is the live service of STUDIO."""
    running = comfy_at(KLING_ONCE_SANDBOX_URL=sandbox.origin)
    credentials = running.base / "config" / "kling-once" / "credentials.json"
    credentials.parent.mkdir(parents=True)
    profile = {"api_key": DEFAULT_API_KEY, "base_url": sandbox.origin}
    credentials.write_text(json.dumps({"profiles": {STUDIO: profile}}))
    credentials.chmod(0o600)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def screen(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page of a ComfyUI; every error of ours in its console fails the test."""
    opened = []

    def show(url: str, **options: Any) -> Any:
        page = Screen.open(browser, url, **options)
        opened.append(page)
        return page

    yield show
    for page in opened:
        page.context.close()
    assert [line for page in opened for line in page.complaints] == []


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Keep a picture of a page among the artefacts."""

    def take(page: Any, name: str = "") -> Path:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{name or request.node.name}.png"
        page.page.screenshot(path=str(path))
        return path

    return take


@pytest.fixture
def graph() -> Callable[..., dict[str, Any]]:
    """Return an API prompt: two loaders, Motion Control and a preview."""

    def make(**inputs: Any) -> dict[str, Any]:
        motion = {
            "image": ["1", 0],
            "motion_source": "video",
            "motion_source.video": ["2", 0],
            "service": "sandbox",
        }
        return {
            "1": {"class_type": "LoadImage", "inputs": {"image": "character.png"}},
            "2": {"class_type": "LoadVideo", "inputs": {"file": "motion.mp4"}},
            "3": {"class_type": "KlingOnce_MotionControl", "inputs": motion | inputs},
            "4": {
                "class_type": "SaveVideo",
                "inputs": {"video": ["3", 0], "filename_prefix": "kling", "format": "auto", "codec": "auto"},
            },
        }

    return make


@pytest.fixture(scope="session")
def inputs(comfy: Any) -> Path:
    """Return the input folder with the demonstration's picture and clip."""
    folder = comfy.base / "input"
    for name in ("character.png", "motion.mp4"):
        shutil.copyfile(ROOT / "kling_once" / "demo" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def clip_of(inputs: Path) -> Callable[[float], str]:
    """Put the demonstration's clip, repeated to this length, into the input folder; return its name."""

    def make(seconds: float) -> str:
        name = f"clip_{seconds:g}s.mp4"
        command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", "9", "-i", inputs / "motion.mp4"]
        command += ["-t", f"{seconds}", "-c:v", "libx264", "-an", inputs / name]
        subprocess.run([str(part) for part in command], check=True)
        return name

    return make


@pytest.fixture
def foreign_task(sandbox: Any, inputs: Path) -> Callable[[], str]:
    """Create a task that this ledger does not know; return its id."""

    def create() -> str:
        picture = base64.b64encode((inputs / "character.png").read_bytes()).decode()
        body = {
            "model_name": "kling-v2-6",
            "image_url": picture,
            "video_url": sandbox.upload(inputs / "motion.mp4"),
            "mode": "std",
            "character_orientation": "video",
        }
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        url = f"{sandbox.origin}/v1/videos/motion-control"
        answer = httpx.post(url, json=body, headers=headers, timeout=60).json()
        assert answer["code"] == 0, answer
        return answer["data"]["task_id"]

    return create


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return waiting.eventually


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def editor(comfy: Any, inputs: Path, screen: Callable[..., Any]) -> Any:
    """Open the first template in a browser, with its strip shown."""
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.wait_for_strip(".*free")
    return seen
