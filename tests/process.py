"""A process of its own that tests start: the command line, or Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import kling_once
from tests.ended_command import EndedCommand

if TYPE_CHECKING:
    from tests.warm import Nursery, Started

ANSWER_SECONDS = 120.0
SOURCE_FOLDER = Path(kling_once.__file__).parents[1]


class Process:
    """One `kling-once` in a process of its own; a `nursery` forks it, without that it starts afresh."""

    def __init__(
        self, folder: Path, arguments: list[str], environment: dict[str, str], nursery: Nursery | None = None
    ) -> None:
        self._out = folder / f"out-{len(list(folder.glob('out-*')))}"
        self._err = self._out.with_name(self._out.name.replace("out", "err"))
        self._lines_read = 0
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

    def line(self) -> str:
        """Return the next line that it prints."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while len(lines := self.heard.split("\n")) < self._lines_read + 2:
            assert self.popen.poll() is None, self.said
            assert time.monotonic() < deadline, "nothing was printed"
            time.sleep(0.01)
        self._lines_read += 1
        return lines[self._lines_read - 1]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens where it has ended by itself."""
        self.popen.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.popen.wait(20)

    def end(self, seconds: float = ANSWER_SECONDS) -> EndedCommand:
        code = self.popen.wait(seconds)
        ended = EndedCommand(code, self._out.read_text(), self._err.read_text())
        assert "Traceback" not in ended.err, ended.err
        return ended
