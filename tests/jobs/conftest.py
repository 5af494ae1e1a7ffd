"""Second processes of the command line, and a look into the ledger from outside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

import kling_once
from tests.ended_command import EndedCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fleet.warm import Nursery, Started
    from tests.sandbox_control import SandboxControl

SOURCE_FOLDER = Path(kling_once.__file__).parents[1]


class Process:
    """One `kling-once` in a process of its own; a `nursery` forks it, without that it starts afresh."""

    def __init__(
        self, folder: Path, arguments: list[str], environment: dict[str, str], nursery: Nursery | None = None
    ) -> None:
        self._out = folder / f"out-{len(list(folder.glob('out-*')))}"
        self._err = self._out.with_name(self._out.name.replace("out", "err"))
        environment = {**os.environ, "PYTHONPATH": str(SOURCE_FOLDER), **environment}
        for path in (self._out, self._err):
            path.touch()
        self.popen: subprocess.Popen[bytes] | Started
        if nursery is not None:
            self.popen = nursery.start(arguments, environment, folder, self._out, self._err)
            return
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", *arguments],
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._err.read_text()

    @property
    def heard(self) -> str:
        """Return what it printed on standard output so far."""
        return self._out.read_text()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.popen.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.popen.wait(20)

    def end(self, seconds: float = 120) -> EndedCommand:
        code = self.popen.wait(seconds)
        ended = EndedCommand(code, self._out.read_text(), self._err.read_text())
        assert "Traceback" not in ended.err, ended.err
        return ended


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
def run_cli(cli: Callable[..., Process], small_picture: Path, small_clip: Path) -> Callable[..., Process]:
    """Start `kling-once run` on the small inputs, with `--json`."""

    def start(*options: str | Path, **environment: str) -> Process:
        return cli("run", small_picture, small_clip, "--json", *options, **environment)

    return start


class LedgerFile:
    """The ledger as a file: read and changed without the code under test."""

    def __init__(self, home: Path) -> None:
        self.path = home / "ledger.db"

    def rows(self) -> list[dict[str, Any]]:
        """Return every attempt, oldest first; none while there is no ledger."""
        if not self.path.exists():
            return []
        connection = sqlite3.connect(self.path, timeout=20)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute("SELECT * FROM attempts ORDER BY attempt_id")]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows()]

    def change(self, **columns: Any) -> None:
        """Change every attempt."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.execute(f"UPDATE attempts SET {names}", *columns.values())

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path, timeout=20)
        with connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows

    def lose(self) -> None:
        """Delete the ledger, as a person would who cleans up."""
        for path in self.path.parent.glob("ledger*"):
            path.unlink()


@pytest.fixture(scope="session")
def draw_hd_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Draw a clip of these sides at 10 fps, 3 s long unless said otherwise."""
    folder = tmp_path_factory.mktemp("hd")

    def draw(width: int, height: int, frames: int = 30) -> Path:
        path = folder / f"{width}x{height}-{frames}.mp4"
        if path.exists():
            return path
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"preset": "ultrafast"}
            for number in range(frames):
                rows = np.full((height * 3 // 2, width), 128, np.uint8)
                rows[:height, number * 8 : number * 8 + 64] = 220
                frame = av.VideoFrame.from_ndarray(rows, "yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return draw


@pytest.fixture
def ledger_file(home: Path) -> LedgerFile:
    return LedgerFile(home)


@pytest.fixture
def leave_in_the_wait(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> Callable[..., None]:
    """Buy a task with an engine of these settings, and end that before the task has ended."""

    def leave(order: Any, **settings: Any) -> None:
        sandbox.move(policy="polls", polls=100_000)
        engine = engines(**settings)
        engine.run(order)
        eventually(lambda: ledger_file.states() == ["submitted"], "the task")
        engine.close()
        sandbox.move(policy="at once")

    return leave
