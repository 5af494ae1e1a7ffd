"""The sandbox that plays the service, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.host.waiting import eventually
from tests.ports import free_port
from tests.sandbox_control import SandboxControl

ROOT = Path(__file__).resolve().parents[2]


class SandboxProcess(SandboxControl):
    """The service, in a process of its own so that it takes no part in what is measured."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(f"http://127.0.0.1:{free_port()}", _client())
        self._folder, self._arguments = folder, arguments
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self, *more: str) -> None:
        """Serve, over the state that is there."""
        if self.http.is_closed:
            self.http = _client()
        folder = self._folder
        command = [sys.executable, "-P", "-m", "kling_once.sandbox", "--state", str(folder)]
        command += ["--fetch", "any", "--port", self.origin.rsplit(":", 1)[1], "--parallel-limit", "200"]
        command += [*self._arguments, *more]
        with (folder / "log.txt").open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        eventually(self._answers, "the sandbox starts")

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get(f"{self.origin}/sandbox/health").status_code == 200
        return False

    def tasks_take(self, *, polls: int | None = None, seconds: float | None = None) -> None:
        if polls is None:
            self.move(policy="seconds", seconds=seconds)
        else:
            self.move(policy="polls", polls=polls)

    def stop(self) -> None:
        self.http.close()
        self._process.terminate()
        self._process.wait(20)


def _client() -> httpx.Client:
    return httpx.Client(timeout=30, trust_env=False)
