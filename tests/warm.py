"""Processes that are forked from one that has imported everything: a start takes 10 ms and not a second.

They are processes like any other, for tests that are not about how one starts. This file is both sides: what
tests call, and what runs in the process that forks.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
IMPORTED: Final = (
    "alembic.command",
    "alembic.runtime.migration",
    "httpcore",
    "kling_once.client",
    "kling_once.cli.commands",
    "kling_once.cli.ending",
    "kling_once.jobs.engine",
    "kling_once.cli.worker",
    "kling_once.ledger.postgresql",
    "kling_once.ledger.sqlite",
    "kling_once.sandbox",
    "kling_once.web.answers",
    "psycopg",
    "rich.traceback",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)


class Started:
    """A process that was forked, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery

    def poll(self) -> int | None:
        return self._nursery.codes.get(self.pid)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and the nursery has not told yet
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        with self._nursery.changed:
            if not self._nursery.changed.wait_for(lambda: self.pid in self._nursery.codes, seconds):
                raise subprocess.TimeoutExpired(f"process {self.pid}", seconds)
        return self._nursery.codes[self.pid]


class Nursery:
    """The process that forks the others."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.codes: dict[int, int] = {}
        self.changed = threading.Condition()
        self._socket = ours
        self._born: list[int] = []
        self._one_at_a_time = threading.Lock()
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        threading.Thread(target=self._hear, name="nursery", daemon=True).start()

    def start(
        self, arguments: list[str], environment: dict[str, str], folder: Path, out: Path, err: Path
    ) -> Started:
        """Start Python with these arguments, which begin with `-m MODULE`, `-c CODE` or a script's path."""
        asked = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(folder),
            "out": str(out),
            "err": str(err),
        }
        with self._one_at_a_time, self.changed:
            self._socket.send(json.dumps(asked).encode())
            assert self.changed.wait_for(lambda: self._born, 60), "the process that forks others is gone"
            return Started(self, self._born.pop())

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait(20)
        self._socket.close()

    def _hear(self) -> None:
        while told := self._socket.recv(1000):
            pid, code = json.loads(told)
            with self.changed:
                if code is None:
                    self.codes.pop(pid, None)
                    self._born.append(pid)
                else:
                    self.codes[pid] = code
                self.changed.notify_all()


# In the process that forks


def serve(line: socket.socket) -> dict[str, Any] | None:
    """Fork when asked to; return what to do in each child, and None when there is nothing more to do."""
    hears, tells = os.pipe()
    os.set_blocking(tells, False)
    signal.set_wakeup_fd(tells)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(line, selectors.EVENT_READ)
    selector.register(hears, selectors.EVENT_READ)
    while True:
        for key, _events in selector.select():
            if key.fileobj is line:
                if not (asked := line.recv(1_000_000)):
                    return None
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    selector.close()
                    for descriptor in (hears, tells):
                        os.close(descriptor)
                    line.close()
                    return json.loads(asked)
                line.send(json.dumps([pid, None]).encode())
            else:
                os.read(hears, 1000)
                _tell_ends(line)


def _tell_ends(line: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        line.send(json.dumps([pid, os.waitstatus_to_exitcode(status)]).encode())


def become(asked: dict[str, Any]) -> None:
    """Turn a forked process into the one that was asked for, and run it."""
    os.setsid()
    os.chdir(asked["folder"])
    for number, path in ((1, asked["out"]), (2, asked["err"])):
        # a terminal that is opened to be read too becomes that of the new session
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    first, *rest = asked["arguments"]
    sys.argv = ["-c", *rest[1:]] if first in {"-c", "-m"} else [first, *rest]
    if first == "-m":
        importlib.import_module(rest[0]).main()
    elif first == "-c":
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    todo = serve(socket.socket(fileno=int(sys.argv[1])))
    if todo is not None:
        become(todo)
