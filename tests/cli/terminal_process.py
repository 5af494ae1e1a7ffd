"""A `kling-once` that a person runs in a terminal: a process with a pseudo-terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.warm import Nursery, Started

START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-P", "-m", "kling_once.cli.app", *sys.argv[1:]])
"""
"""Make the pseudo-terminal the controlling one, so that its Ctrl-C is a signal, and become the command."""

CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
IMPORT = b"import time:"


class TerminalProcess:
    """One command in a terminal of 80 columns; standard output may lead into a file instead.

    A nursery forks it from a process that has imported everything; the terminal becomes its own all the same.
    """

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        out: Path | None = None,
        nursery: Nursery | None = None,
        **env: str,
    ) -> None:
        self._master, slave = self._ends = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[3] |= termios.NOFLSH  # else Ctrl-C throws half a line away that nobody has read yet
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        self.text = b""
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **env}
        shown = Path(os.ttyname(slave))
        self.popen: subprocess.Popen[bytes] | Started
        if nursery is not None:
            command = ["-m", "kling_once.cli.app", *arguments]
            self.popen = nursery.start(command, environment, folder, out or shown, shown)
        else:
            with (out or shown).open("wb") as stdout:
                self.popen = subprocess.Popen(
                    [sys.executable, "-P", "-c", START, *arguments],
                    stdin=slave,
                    stdout=stdout,
                    stderr=slave,
                    cwd=folder,
                    env=environment,
                    start_new_session=True,
                )

    def read_until(self, condition: Callable[[bytes], object], seconds: float = 60) -> None:
        """Read what is shown until it meets a condition, or the process has ended."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < deadline, self.text[-2000:]
            if not self._read():
                return

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def end(self, seconds: float = 60) -> int:
        """Read what is still shown and return the exit code."""
        self.read_until(lambda _: False, seconds)
        return self.popen.wait(seconds)

    def close(self) -> None:
        if self.popen.poll() is None:
            os.kill(self.popen.pid, signal.SIGKILL)
            self.popen.wait(20)
        for end in self._ends:
            os.close(end)

    @property
    def lines(self) -> list[str]:
        """Return the lines that a person sees, without the echo of Ctrl-C."""
        seen = CONTROLS.sub(b"", self.text).replace(b"^C", b"").replace(b"\r\n", b"\n")
        return [line.decode() for line in re.split(rb"[\r\n]+", seen) if line.strip()]

    def _read(self) -> bool:
        """Read what is there; tell whether there may be more."""
        has_ended = self.popen.poll() is not None
        if select.select([self._master], [], [], 0.05)[0]:
            self.text += os.read(self._master, 65536)
            return True
        return not has_ended


def imports_of(text: bytes) -> int:
    """Count what Python has imported since the command can be interrupted (PYTHONPROFILEIMPORTTIME)."""
    return text.partition(b"kling_once.cli.ending")[2].count(IMPORT)
