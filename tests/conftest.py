"""A sandbox of its own, an engine over a fresh home, and small inputs: shared by the lanes without a host."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

from kling_once.jobs.engine import Engine
from kling_once.order import (
    ElementOrder,
    MotionControl,
    Order,
    Service,
    Spender,
    VideoFile,
)
from kling_once.sandbox import Sandbox, SandboxOptions, Transitions
from kling_once.settings import load_settings
from tests.drawn_clips import write_clip
from tests.hostile_vendor import ORIGIN, Vendor
from tests.ledger.stores import spare_migrations
from tests.process import Process
from tests.sandbox_control import SandboxControl
from tests.warm import Nursery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgresql import Postgresql

LANES = {
    "tests/fleet/": "fleet",
    "tests/integration/": "process",
    "tests/jobs/test_killed.py": "process",
    "tests/jobs/test_takeover.py": "process",
    "test_what_a_killed_run_was_making_goes_with_the_next_run": "process",
    "tests/jobs/test_limits.py": "process",
    "tests/test_privacy.py": "process",
    "test_sixty_waiting_jobs_cost": "process",
    "tests/web/test_openapi.py": "process",
    "test_a_create_accepted_20_seconds_late_is_found": "process",
    "tests/properties/test_check_and_sandbox.py": "media",
    "tests/properties/test_hostile_answers.py": "process",
}
"""Beside the lanes that tests name themselves; what starts processes or takes seconds is in no fast lane."""
OF_THE_FLEET = (
    "tests/fleet/",
    "tests/ledger/test_postgresql.py",
    "test_two_workers_without_a_common_disk",
    "tests/integration/test_deploy_commands.py",
    "tests/integration/test_bucket_of_a_fleet.py",
    "[postgresql",
)
"""Which tests have the mark `fleet`, by their names: what hands tests out to workers sees no marks."""
DEADLINE_SECONDS = 60.0
"""Guards against hanging alone: what a promise says about time is asserted beside it."""
SOON_SECONDS = 2.0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one worker run the whole lane `fleet`: it shares a server, and is a crowd of processes already.

    xdist 3.8 has a mark for that, which does nothing with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - the plugin may be missing

    class OneWorkerForTheFleet(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "fleet" if any(part in nodeid for part in OF_THE_FLEET) else nodeid

    return OneWorkerForTheFleet(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests into lanes."""
    for item in items:
        for part, lane in LANES.items():
            if part in item.nodeid:
                item.add_marker(getattr(pytest.mark, lane))
        if item.get_closest_marker("fleet"):
            assert any(part in item.nodeid for part in OF_THE_FLEET), item.nodeid


def eventually(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Return the first true value of `condition`; a test waits for a state, never for a time."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if value := condition():
            return value
        time.sleep(0.01 if waited < SOON_SECONDS else 0.05)  # each look costs
    raise AssertionError(f"{what}: not within {seconds:g} s")


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    return eventually


class SandboxThread:
    """A sandbox that serves TCP from a thread of its own."""

    def __init__(self, options: SandboxOptions) -> None:
        self.sandbox = Sandbox(options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-sandbox", daemon=True)

    def start(self, port: int = 0) -> str:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.sandbox.start(port=port), self._loop).result(20)
        return self.sandbox.origin

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _stop(self) -> None:
        """Stop, and let go of calls that a scripted stall still holds."""
        await self.sandbox.stop()
        held = asyncio.all_tasks() - {asyncio.current_task()}
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """One PostgreSQL server for all tests of the lane `fleet`; each makes a database of its own."""
    from tests.postgresql import Postgresql, require_programs  # noqa: PLC0415 - needs its driver

    server = Postgresql(require_programs())
    yield server
    server.remove()


@pytest.fixture
def hermetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep everything of this test in its folder: no key, proxy or setting of the machine's owner."""
    for name in list(os.environ):
        if name.startswith(("KLING_ONCE_", "KLINGAI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("KLING_ONCE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KLING_ONCE_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("KLING_ONCE_POLL_SECONDS", "0.05")
    monkeypatch.setenv("KLING_ONCE_SETTLE_SECONDS", "0.4")


@pytest.fixture
def home(tmp_path: Path, hermetic: None) -> Path:
    return tmp_path / "home"


@pytest.fixture
def results(tmp_path: Path, hermetic: None) -> Path:
    return tmp_path / "results"


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery | None]:
    """What forks the processes of tests, ready to run; where nothing forks, each starts afresh."""
    if not hasattr(os, "fork"):
        yield None
        return
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def python(tmp_path: Path, hermetic: None, nursery: Nursery | None) -> Iterator[Callable[..., Process]]:
    """Start Python processes over this test's home; whatever still runs is ended afterwards."""
    started: list[Process] = []
    folder = tmp_path / "processes"
    folder.mkdir()

    def start(*arguments: str, **environment: str) -> Process:
        started.append(Process(folder, list(arguments), environment, nursery))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.signal(signal.SIGCONT)
            process.kill()


@pytest.fixture
def cli(python: Callable[..., Process]) -> Callable[..., Process]:
    """Start `kling-once ARGUMENTS`."""

    def start(*arguments: str | Path, **environment: str) -> Process:
        return python("-m", "kling_once.cli.app", *map(str, arguments), **environment)

    return start


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
        yield client


@pytest.fixture
def control(http: httpx.Client) -> Callable[[str], SandboxControl]:
    """Talk to a sandbox that somebody else has started."""
    return lambda origin: SandboxControl(origin, http)


@pytest.fixture
def sandboxes(tmp_path: Path, http: httpx.Client) -> Iterator[Callable[..., SandboxControl]]:
    """Start sandboxes that accept a repeated external id, so that only we keep creates single."""
    with ExitStack() as stack:

        def start(port: int = 0, **options: Any) -> SandboxControl:
            chosen = {
                "state_dir": tmp_path / "sandbox-state",
                "transitions": Transitions.at_once(),
                "quick_results": True,
                "parallel_limit": 100,
                "duplicates_allowed": True,
                "fetch": "any",
            } | options
            running = SandboxThread(SandboxOptions(**chosen))
            origin = running.start(port)
            stack.callback(running.stop)
            return SandboxControl(origin, http)

        yield start


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    both = metafunc.definition.get_closest_marker("both_generations")
    if both and "generation" in metafunc.fixturenames:
        metafunc.parametrize("generation", ["legacy", pytest.param("standard", marks=pytest.mark.standard)])


@pytest.fixture
def generation() -> str:
    """Return which of the vendor's two APIs is used; tests marked `both_generations` run with either."""
    return "legacy"


@pytest.fixture
def sandbox(
    sandboxes: Callable[..., SandboxControl],
    hermetic: None,
    monkeypatch: pytest.MonkeyPatch,
    generation: str,
) -> SandboxControl:
    """One such sandbox, named by KLING_ONCE_SANDBOX_URL."""
    control = sandboxes()
    control.generation = generation
    monkeypatch.setenv("KLING_ONCE_SANDBOX_URL", control.origin)
    monkeypatch.setenv("KLINGAI_API_GENERATION", generation)
    return control


@pytest.fixture
def engines(hermetic: None) -> Iterator[Callable[..., Engine]]:
    """Start engines over this test's home; each stands for a process with its own ledger connection."""
    with ExitStack() as stack:

        def start(clock: Any = None, **settings: Any) -> Engine:
            loaded = load_settings(**settings)
            spare_migrations(loaded)
            engine = Engine(loaded, clock)
            stack.callback(engine.close)
            return engine

        yield start


@pytest.fixture
def engine(sandbox: SandboxControl, engines: Callable[..., Engine]) -> Engine:
    return engines()


@pytest.fixture(scope="session")
def small_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320x320, a gradient with a disc in it."""
    rows, columns = np.mgrid[0:320, 0:320]
    pixels = np.stack([rows * 255 // 319, columns * 255 // 319, np.full_like(rows, 90)], axis=2)
    pixels[(rows - 160) ** 2 + (columns - 160) ** 2 < 80**2] = (230, 200, 60)
    path = tmp_path_factory.mktemp("picture") / "figure.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def small_view(small_picture: Path) -> Path:
    """The same, seen from another side."""
    path = small_picture.with_name("side.png")
    with Image.open(small_picture) as picture:
        picture.rotate(90).save(path)
    return path


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3.0 s, 360x360, 10 fps, silent: a bar that walks to the right."""
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"

    def pictures() -> Iterator[np.ndarray]:
        for number in range(30):
            rows = np.full((540, 360), 128, np.uint8)
            rows[:360] = 40
            rows[:360, number * 8 : number * 8 + 24] = 220
            yield rows

    write_clip(path, pictures())
    return path


@pytest.fixture(scope="session")
def draw_hd_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Draw a clip of these sides at 10 fps, 3 s long unless said otherwise."""
    folder = tmp_path_factory.mktemp("hd")

    def pictures(width: int, height: int, frames: int) -> Iterator[np.ndarray]:
        for number in range(frames):
            rows = np.full((height * 3 // 2, width), 128, np.uint8)
            rows[:height, number * 8 : number * 8 + 64] = 220
            yield rows

    def draw(width: int, height: int, frames: int = 30) -> Path:
        path = folder / f"{width}x{height}-{frames}.mp4"
        if path.exists():
            return path
        write_clip(path, pictures(width, height, frames))
        return path

    return draw


@pytest.fixture
def vendor(small_clip: Path, hermetic: None, monkeypatch: pytest.MonkeyPatch, generation: str) -> Vendor:
    made = Vendor(small_clip.read_bytes())
    monkeypatch.setattr("kling_once.api.client.open_client", made.client)
    monkeypatch.setattr("kling_once.api.download.open_client", made.client)
    monkeypatch.setenv("KLINGAI_BASE_URL", ORIGIN)
    monkeypatch.setenv("KLINGAI_API_GENERATION", generation)
    monkeypatch.setenv("KLINGAI_API_KEY", "key-of-the-tests-0123456789abcdef")
    return made


@pytest.fixture
def live(vendor: Vendor, engines: Callable[..., Engine]) -> Engine:
    much = Decimal(10**9)
    return engines(
        poll_seconds=0.002,
        settle_seconds=0.01,
        create_seconds=0.1,
        max_units_per_day=much,
        max_units_per_prompt=much,
    )


@pytest.fixture
def order(small_picture: Path, small_clip: Path) -> Callable[..., Order]:
    """Return a maker of orders of the small inputs; `prompt`, `take` and so on may be given directly."""
    settings = set(MotionControl.__dataclass_fields__)

    def make(**changes: Any) -> Order:
        motion = {name: changes.pop(name) for name in settings & set(changes)}
        known: dict[str, Any] = {
            "image": small_picture,
            "video": VideoFile(small_clip),
            "motion": MotionControl(**motion),
            "service": Service.SANDBOX,
            "spender": Spender("prompt", "node"),
        }
        return Order(**(known | changes))

    return make


@pytest.fixture
def element(small_picture: Path, small_view: Path) -> Callable[..., ElementOrder]:
    """Return a maker of orders of an element of two small pictures."""

    def make(**changes: Any) -> ElementOrder:
        known: dict[str, Any] = {
            "name": "Mia",
            "description": "A disc in front of a gradient",
            "image": small_picture,
            "views": (small_view,),
            "spender": Spender("prompt", "node"),
        }
        return ElementOrder(**(known | changes))

    return make


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Return FFmpeg, called with arguments."""
    program = shutil.which("ffmpeg")
    if program is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg and ffprobe are not on PATH")

    def run(*arguments: Any) -> None:
        command = [program, "-v", "error", "-nostdin", *(str(argument) for argument in arguments)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    return run
