"""The command line, in this process and as one of its own, and inputs that break a limit each."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kling_once.cli.commands import app
from kling_once.clock import SystemClock
from kling_once.ledger.ledger import Ledger
from tests.drawn_clips import write_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


PLAIN = {"service": "sandbox", "realm": "sandbox", "created_at": 1_800_000_000_000, "number": 1}
"""Values of columns that may not be empty."""


@dataclass(frozen=True)
class Done:
    """What a person, or a program, sees of one command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


def checked(done: Done) -> Done:
    assert "Traceback" not in done.text, done.text
    return done


@pytest.fixture
def kling(hermetic: None) -> Callable[..., Done]:
    """Run a command in this process; whatever it raises but does not tell fails the test."""

    def run(*arguments: object) -> Done:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="kling-once")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return checked(Done(result.exit_code, result.stdout, result.stderr))

    return run


@pytest.fixture
def kling_process(hermetic: None) -> Callable[..., Done]:
    """Run a command as a process of its own."""

    def run(*arguments: object) -> Done:
        command = [sys.executable, "-P", "-m", "kling_once.cli.app", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return checked(Done(done.returncode, done.stdout, done.stderr))

    return run


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Draw a clip of so many tenths of a second."""
    folder = tmp_path_factory.mktemp("lengths")

    def pictures(frames: int) -> Iterator[np.ndarray]:
        for number in range(frames):
            rows = np.full((540, 360), 128, np.uint8)
            rows[:360, number % 300 : number % 300 + 40] = 220
            yield rows

    def draw(frames: int) -> Path:
        path = folder / f"{frames}.mp4"
        if path.exists():
            return path
        write_clip(path, pictures(frames))
        return path

    return draw


@pytest.fixture
def picture_of(tmp_path: Path) -> Callable[[int, int], Path]:
    """Draw a picture of a size."""

    def draw(width: int, height: int) -> Path:
        path = tmp_path / f"{width}x{height}.png"
        Image.new("RGB", (width, height), "teal").save(path)
        return path

    return draw


@pytest.fixture
def many_jobs(home: Path) -> Callable[[int], None]:
    """Write kept jobs into the ledger, newest last, past the ledger's own door."""

    def write(count: int, project: str = "spot") -> None:
        Ledger(home, SystemClock()).close()
        with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
            for number in range(count):
                key = f"{number:064x}"
                insert(connection, "jobs", job_key=key, project=project, model="kling-v3", mode="std")
                insert(
                    connection,
                    "attempts",
                    job_key=key,
                    external_id=f"ko-{number:032x}-1",
                    state="kept",
                    task_id=str(811461243664102693 + number),
                    units_charged="2.5",
                    result_path=f"{project}/figure_dance_t0_{number:08x}.mp4",
                )

    return write


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert a row; columns that are not given and must not be empty get a plain value of their type."""
    for _, name, kind, needed, default, _ in connection.execute(f"PRAGMA table_info({table})"):
        if needed and default is None and name not in values and name != "attempt_id":
            values[name] = PLAIN.get(name, 0 if "INT" in kind.upper() or "BOOL" in kind.upper() else "")
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
