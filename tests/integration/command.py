"""The command line as it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.ended_command import EndedCommand

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_SECONDS = 60


class Command:
    """One `kling-once` in a process of its own."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        program = shutil.which("kling-once", path=os.path.dirname(sys.executable))  # noqa: PTH120 - a search path
        assert program, "kling-once is not installed beside the interpreter"
        self.popen = subprocess.Popen(
            [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def kill(self) -> None:
        """End it as the kernel would: nothing in it runs any more."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> EndedCommand:
        out, err = self.popen.communicate(timeout=ANSWER_SECONDS)
        return EndedCommand(self.popen.returncode, out, err)
