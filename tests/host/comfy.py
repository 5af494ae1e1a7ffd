"""A ComfyUI process with the pack linked in: found, started, asked, ended.

The host is looked for in COMFYUI_PATH, ~/comfy/ComfyUI, and the folder that holds this pack; its interpreter
in COMFYUI_PYTHON, the host's .venv or venv, and the running one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.host.listener import Listener
from tests.host.waiting import eventually
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.host.graphs import Prompt

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0


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
    needed = "torch, av, aiohttp, httpx, jwt, imageio, obstore, platformdirs, tenacity, standardwebhooks"
    tried = subprocess.run([python, "-c", f"import {needed}"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"{python}: {tried.stderr.strip().splitlines()[-1]}"
    return Host(folder, python)


def require_host(lane: str) -> Host:
    """Return the ComfyUI to test in; without one skip, or fail where REQUIRE_COMFYUI=1 asks for that."""
    found = find_host()
    if isinstance(found, Host):
        return found
    if os.environ.get("REQUIRE_COMFYUI") == "1":
        pytest.fail(f"REQUIRE_COMFYUI=1, and {found}")
    pytest.skip(f"the {lane} lane needs ComfyUI: {found}")


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
            (self.base / "custom_nodes" / "kling-once").symlink_to(ROOT, target_is_directory=True)
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
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("KLING_ONCE_", "KLINGAI_"))}
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
