"""How a command ends before its time: by a signal, or because standard output takes nothing more.

Imports nothing of the product: it is at work while the rest is being imported.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR: Final = "\x1b[?25h"
"""A progress display that was cut off has hidden it."""

STOPPED: Final = "Stopped. Run the same again to go on."


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived.

    Not a `KeyboardInterrupt`, so that no library on the way turns it into a message of its own.

    Attributes:
        exit_code: 128 and the number of the signal, as shells have it.
        say: says a line in place of the usual one; see `Ending.say`.
    """

    def __init__(self, number: int, say: Callable[..., None]) -> None:
        self.exit_code = 128 + number
        self.say = say
        super().__init__(number)


class OutputLost(Exception):
    """Standard output cannot be written; the text says why. Not an `OSError`, which libraries handle."""


class Output(io.FileIO):
    """Standard output or error, unbuffered, whose failures are known as such.

    Args:
        number: the file descriptor.
        is_error: standard error: there is nowhere to say that it fails, so its failures are passed over.

    Attributes:
        size_bytes: how much was written.
    """

    def __init__(self, number: int, *, is_error: bool = False) -> None:
        super().__init__(number, "wb", closefd=False)
        self.size_bytes = 0
        self._is_error = is_error
        self._is_lost = False

    def write(self, data: Any) -> int:
        """Write bytes; what follows the first failure is dropped.

        Raises:
            OutputLost: at the first failure.
        """
        if not self._is_lost:
            try:
                written = super().write(data) or 0
            except OSError as error:
                self._is_lost = True
                if not self._is_error:
                    raise OutputLost(error.strerror or str(error)) from None
            else:
                self.size_bytes += written
                return written
        return len(data)


class Ending:
    """The last words of a command, each said once.

    Args:
        as_json: whether standard output is to hold one JSON object whatever happens.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._has_spoken = False
        self._output = self._claim(1, "stdout")
        self._claim(2, "stderr", is_error=True)

    def leave_at_once_on_signals(self) -> None:
        """Until a command has something to clean up, and after it has, a signal ends the process."""
        for number in SIGNALS:
            signal.signal(number, self._leave)

    def raise_on_signals(self) -> None:
        """From now on the first signal raises `Interrupted`; a second one ends the process."""
        sys.unraisablehook = self._unraisable
        for number in SIGNALS:
            signal.signal(number, self._raise)

    def say(self, line: str, task_id: str | None = None) -> None:
        """Say in one line that the command was stopped; with `--json` in an object as well."""
        if self._has_spoken:
            return
        self._has_spoken = True
        if self.as_json and self._output is not None and self._output.size_bytes == 0:
            value = {"error": "Interrupted", "message": line, "hint": None, "task_id": task_id}
            self._write(1, json.dumps(value, indent=2))
        self._write(2, line)

    def leave(self, code: int) -> NoReturn:
        """End the process without waiting for threads; what must not be lost is on disk."""
        self.say(STOPPED)
        if os.isatty(2):
            self._write(2, SHOW_CURSOR, end="")
        os._exit(code)

    @staticmethod
    def _write(number: int, text: str, end: str = "\n") -> None:
        """Write past Python's buffers, whose locks the interrupted code may hold."""
        try:
            os.write(number, f"{text}{end}".encode(errors="backslashreplace"))
        except OSError:
            return

    @staticmethod
    def _claim(number: int, name: str, *, is_error: bool = False) -> Output | None:
        """Put an `Output` under a standard stream.

        A descriptor that was closed is taken, so that no file of ours is opened under its number.
        """
        try:
            os.fstat(number)
        except OSError:
            closed = os.open(os.devnull, os.O_RDONLY)
            if closed != number:
                os.dup2(closed, number)
                os.close(closed)
        stream = getattr(sys, name)
        if os.name == "nt" and os.isatty(number):
            if isinstance(stream, io.TextIOWrapper):  # Windows' consoles take characters, not bytes
                stream.reconfigure(errors="backslashreplace")
            return None
        raw = Output(number, is_error=is_error)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=getattr(stream, "encoding", "utf-8"),
            errors="backslashreplace",
            line_buffering=is_error or os.isatty(number),
        )
        setattr(sys, name, stream)
        return raw

    def _leave(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.leave(128 + number)

    def _raise(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.leave_at_once_on_signals()
        raise Interrupted(number, self.say)

    def _unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """End the process where an interrupt was raised in code that cannot raise, such as a finalizer."""
        if isinstance(lost.exc_value, Interrupted):
            self.leave(lost.exc_value.exit_code)
        sys.__unraisablehook__(lost)
