"""A real ComfyUI with the pack linked in, and a sandbox beside it as the service.

The host is looked for in COMFYUI_PATH, ~/comfy/ComfyUI, and the folder that holds this pack; its interpreter
in COMFYUI_PYTHON, the host's .venv or venv, and the running one. REQUIRE_COMFYUI=1 makes a missing host a
failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
KEY = "host-lane-key-that-must-never-be-seen"
"""Configured as a real Kling key throughout, with an origin that nobody listens on."""
Prompt = dict[str, dict[str, Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/host" in item.path.as_posix():
            item.add_marker(pytest.mark.host)
            item.add_marker(pytest.mark.timeout(600))


FIGURES: list[str] = []


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Take a measured figure for the summary."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for text in FIGURES:
        terminalreporter.write_line(f"host lane: {text}")


@dataclass(frozen=True)
class Host:
    folder: Path
    python: Path


def find_host() -> Host | str:
    """Return the ComfyUI to test in, or why there is none."""
    places = [os.environ.get("COMFYUI_PATH"), Path.home() / "comfy" / "ComfyUI", ROOT.parents[1]]
    folders = [Path(place) for place in places if place]
    folder = next((place for place in folders if (place / "comfy_api").is_dir()), None)
    if folder is None:
        return "no ComfyUI in COMFYUI_PATH, ~/comfy/ComfyUI or above this pack"
    named = os.environ.get("COMFYUI_PYTHON")
    inside = [folder / name / "bin" / "python" for name in (".venv", "venv")]
    inside += [folder / name / "Scripts" / "python.exe" for name in (".venv", "venv")]
    pythons = [Path(named)] if named else [*inside, Path(sys.executable)]
    python = next((path for path in pythons if path.exists()), None)
    if python is None:
        return f"no interpreter for {folder}: {named}"
    needed = (
        "import torch, av, aiohttp, httpx, jwt, imageio, obstore, platformdirs, tenacity, standardwebhooks"
    )
    tried = subprocess.run([python, "-c", needed], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"{python}: {tried.stderr.strip().splitlines()[-1]}"
    return Host(folder, python)


@pytest.fixture(scope="session")
def host() -> Host:
    found = find_host()
    if isinstance(found, Host):
        return found
    if os.environ.get("REQUIRE_COMFYUI") == "1":
        pytest.fail(f"REQUIRE_COMFYUI=1, and {found}")
    pytest.skip(f"the host lane needs ComfyUI: {found}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(condition: Callable[[], Any], what: str, seconds: float = 60.0, pause: float = 0.05) -> Any:
    """Return the first true value; a test waits for a state, never for a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds:g} s")


class SandboxProcess:
    """The service, in a process of its own so that it takes no part in what is measured."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.origin = f"http://127.0.0.1:{free_port()}"
        self._folder, self._arguments = folder, arguments
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self, *more: str) -> None:
        """Serve, over the state that is there."""
        folder = self._folder
        command = [
            sys.executable,
            "-P",
            "-m",
            "kling_direct.sandbox",
            "--state",
            str(folder),
            "--fetch",
            "any",
        ]
        command += ["--port", self.origin.rsplit(":", 1)[1], "--parallel-limit", "200"]
        command += [*self._arguments, *more]
        with (folder / "log.txt").open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        eventually(self._answers, "the sandbox starts")

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.origin}/sandbox/health").status_code == 200
        return False

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.origin}/sandbox/{path}", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def script(self, endpoint: str, *faults: str) -> None:
        self._json("POST", "faults", {"endpoint": endpoint, "script": list(faults)})

    def pending(self) -> list[Any]:
        return self._json("GET", "faults")["pending"]

    def tasks_take(self, *, polls: int | None = None, seconds: float | None = None) -> None:
        policy = (
            {"policy": "seconds", "seconds": seconds}
            if polls is None
            else {"policy": "polls", "polls": polls}
        )
        self._json("PUT", "transitions", policy)

    def set(self, **switches: Any) -> None:
        self._json("PUT", "settings", {name.replace("_", "-"): value for name, value in switches.items()})

    def creates(self) -> list[dict[str, Any]]:
        return [call for call in self._json("GET", "calls")["calls"] if call["method"] == "POST"]

    def calls(self) -> list[dict[str, Any]]:
        return self._json("GET", "calls")["calls"]

    def upload(self, path: Path) -> str:
        return httpx.post(f"{self.origin}/sandbox/files", content=path.read_bytes()).json()["url"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@dataclass
class Event:
    at: float
    kind: str
    data: Any = None


@dataclass
class Ended:
    """What /history says of a prompt."""

    prompt_id: str
    entry: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.entry["status"]["status_str"] == "success"

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        return dict(self.entry["status"]["messages"])

    @property
    def error(self) -> dict[str, Any]:
        return self.messages["execution_error"]

    def seen(self, node_id: str) -> list[Any]:
        """Return what a Probe_Show node saw."""
        return [json.loads(text) for text in self.entry["outputs"].get(node_id, {}).get("seen", [])]

    def file(self, node_id: str) -> dict[str, str]:
        return self.entry["outputs"][node_id]["images"][0]


@dataclass
class Comfy:
    """One ComfyUI process over a base folder that outlives it."""

    host: Host
    base: Path
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.base / "comfy.log").read_text(errors="replace")

    def prepare(self) -> None:
        for name in ("custom_nodes", "input", "output", "temp", "models", "user"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (self.base / "custom_nodes" / "kling-direct").symlink_to(ROOT, target_is_directory=True)
        probe = Path(__file__).parent / "probe_pack"
        shutil.copytree(probe, self.base / "custom_nodes" / "probe", dirs_exist_ok=True)

    def start(self) -> Comfy:
        self.prepare()
        self.port = free_port()
        command = [
            self.host.python,
            "main.py",
            "--cpu",
            "--base-directory",
            self.base,
            "--port",
            str(self.port),
        ]
        command += ["--disable-auto-launch", "--database-url", "sqlite:///:memory:", *self.arguments]
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("KLING_DIRECT_", "KLINGAI_"))}
        with (self.base / "comfy.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.host.folder,
                env={**clean, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers, f"ComfyUI starts; its log: {self.base / 'comfy.log'}", START_SECONDS)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-4000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/system_stats", timeout=5).status_code == 200
        return False

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}", timeout=60).json()

    def text(self, path: str) -> str:
        answer = httpx.get(f"{self.url}{path}", timeout=60)
        assert answer.status_code == 200, path
        return answer.text

    def status(self, path: str) -> int:
        return httpx.get(f"{self.url}{path}", timeout=60).status_code

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body if body is not None else {}, timeout=60)

    def queue(self, prompt: Prompt, client_id: str | None = None, workflow: Any = None) -> str:
        body: dict[str, Any] = {"prompt": prompt}
        if client_id:
            body["client_id"] = client_id
        if workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        answer = self.post("/prompt", body)
        assert answer.status_code == 200, answer.text
        return answer.json()["prompt_id"]

    def ended(self, prompt_id: str, seconds: float = 120.0) -> Ended:
        entry = eventually(
            lambda: self.get(f"/history/{prompt_id}").get(prompt_id), "the prompt ends", seconds
        )
        return Ended(prompt_id, entry)

    def run(self, prompt: Prompt, seconds: float = 120.0, workflow: Any = None) -> Ended:
        return self.ended(self.queue(prompt, workflow=workflow), seconds)

    def succeed(self, prompt: Prompt, seconds: float = 120.0) -> Ended:
        ended = self.run(prompt, seconds)
        assert ended.ok, json.dumps(ended.messages.get("execution_error"), indent=1)
        return ended

    def rss_bytes(self, what: str = "VmRSS") -> int:
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))

    @contextlib.contextmanager
    def listening(self) -> Iterator[Listener]:
        listener = Listener(self.url)
        listener.start()
        try:
            yield listener
        finally:
            listener.stop()


class Listener:
    """A client of ComfyUI's WebSocket, in a thread; `client_id` is what prompts are queued with."""

    def __init__(self, url: str) -> None:
        self.client_id = uuid.uuid4().hex
        self.events: list[Event] = []
        self._url = f"{url}/ws?clientId={self.client_id}"
        self._open, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._open.wait(20), "the WebSocket opens"

    def stop(self) -> None:
        self._closing.set()
        self._thread.join(20)

    async def _listen(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url) as socket_:
            self._open.set()
            while not self._closing.is_set():
                try:
                    message = await socket_.receive(timeout=0.2)
                except TimeoutError:
                    continue
                if message.type is aiohttp.WSMsgType.TEXT:
                    body = json.loads(message.data)
                    self.events.append(Event(time.monotonic(), body["type"], body["data"]))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._binary(message.data)

    def _binary(self, data: bytes) -> None:
        if int.from_bytes(data[:4], "big") == 3:
            length = int.from_bytes(data[4:8], "big")
            node, text = data[8 : 8 + length].decode(), data[8 + length :].decode()
            self.events.append(Event(time.monotonic(), "progress_text", (node, text)))

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def wait_for(
        self, kind: str, condition: Callable[[Any], bool] = lambda _: True, seconds: float = 60
    ) -> Event:
        def found() -> Event | None:
            return next((event for event in self.of(kind) if condition(event.data)), None)

        return eventually(found, f"{kind} arrives", seconds, pause=0.005)

    def texts(self) -> list[str]:
        return [event.data[1] for event in self.of("progress_text")]


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="session")
def sandbox(session_folder: Path) -> Iterator[SandboxProcess]:
    process = SandboxProcess(session_folder / "sandbox", "--quick-results", "--transitions", "polls:1")
    yield process
    process.stop()


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """Give a test a service that it may stop and start."""
    process = SandboxProcess(tmp_path / "sandbox", "--quick-results", "--transitions", "polls:1")
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def plain_sandbox(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin every test without faults, and end it with every fault met."""
    if "sandbox" not in request.fixturenames:
        yield
        return
    sandbox: SandboxProcess = request.getfixturevalue("sandbox")
    for endpoint in ("create", "get", "list", "result"):
        sandbox.script(endpoint)
    sandbox.tasks_take(polls=1)
    sandbox.set(quick_results=True, parallel_limit=200)
    yield
    assert sandbox.pending() == []


def settings_for(home: Path, sandbox: SandboxProcess, **more: str) -> dict[str, str]:
    return {
        "KLING_DIRECT_HOME": str(home),
        "KLING_DIRECT_SANDBOX_URL": sandbox.origin,
        "KLING_DIRECT_POLL_SECONDS": "0.5",
        "KLING_DIRECT_SETTLE_SECONDS": "3",
        "KLINGAI_API_KEY": KEY,
        "KLINGAI_BASE_URL": "http://127.0.0.1:9",
        **more,
    }


@pytest.fixture(scope="session")
def comfy(host: Host, session_folder: Path, sandbox: SandboxProcess) -> Iterator[Comfy]:
    """One ComfyUI for all tests that do not end it."""
    running = Comfy(host, session_folder / "base", settings_for(session_folder / "home", sandbox))
    yield running.start()
    running.stop()


@pytest.fixture
def own_comfy(host: Host, tmp_path: Path, sandbox: SandboxProcess) -> Iterator[Callable[..., Comfy]]:
    """Give ComfyUI processes of the test's own over one base folder and one home; not yet started."""
    made: list[Comfy] = []

    def make(*arguments: str, **environment: str) -> Comfy:
        settings = settings_for(tmp_path / "home", sandbox) | environment
        made.append(Comfy(host, tmp_path / "base", settings, arguments))
        return made[-1]

    yield make
    for running in made:
        running.stop()


class Graphs:
    """API prompts that a test asks for; every one is a job of its own unless `take` says otherwise."""

    def __init__(self) -> None:
        self._takes = iter(range(1, 1_000_000))

    def new_take(self) -> int:
        return next(self._takes)

    def inputs(self) -> Prompt:
        return {
            "image": {"class_type": "LoadImage", "inputs": {"image": "kling_direct/character.png"}},
            "clip": {"class_type": "LoadVideo", "inputs": {"file": "kling_direct/motion.mp4"}},
        }

    def motion(self, **inputs: Any) -> Prompt:
        """Return Load Image and Load Video to Motion Control to Save Video."""
        source = {"motion_source": "video", "motion_source.video": ["clip", 0]}
        given = {"image": ["image", 0], "take": self.new_take()} | inputs
        if "motion_source" not in given:
            given |= source
        return self.inputs() | {
            "motion": {"class_type": "KlingDirect_MotionControl", "inputs": given},
            "save": self.save("motion"),
        }

    def save(self, node: str, slot: int = 0) -> dict[str, Any]:
        codec = {"format.codec": "auto", "codec": "auto"}  # the second until core's widget became dynamic
        inputs = {"video": [node, slot], "filename_prefix": "host", "format": "auto", **codec}
        return {"class_type": "SaveVideo", "inputs": inputs}

    def show(self, node: str, slot: int) -> dict[str, Any]:
        return {"class_type": "Probe_Show", "inputs": {"value": [node, slot]}}


@pytest.fixture(scope="session")
def graphs() -> Graphs:
    return Graphs()
