"""How a command ends before its time: at every moment in one line, with an exit code that says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.terminal_process import IMPORT, TerminalProcess, imports_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.warm import Nursery

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there"),
]
STOPPED = "Stopped. Run the same again to go on."
MOMENTS = range(20)


def terminals(folder: Path, nursery: Nursery | None) -> Iterator[Callable[..., TerminalProcess]]:
    started: list[TerminalProcess] = []

    def start(*arguments: object, out: Path | None = None, **environment: str) -> TerminalProcess:
        words = [str(item) for item in arguments]
        started.append(TerminalProcess(words, folder, out, nursery, **environment))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def terminal(hermetic: None, tmp_path: Path) -> Iterator[Callable[..., TerminalProcess]]:
    """Start commands as a person does."""
    yield from terminals(tmp_path, None)


@pytest.fixture
def quick_terminal(
    hermetic: None, tmp_path: Path, nursery: Nursery | None
) -> Iterator[Callable[..., TerminalProcess]]:
    """Start commands whose beginning does not matter."""
    yield from terminals(tmp_path, nursery)


@pytest.fixture(scope="session")
def imports_in_all() -> int:
    """How much is imported until a command runs."""
    command = [sys.executable, "-P", "-X", "importtime", "-m", "kling_once.cli.app", "--version"]
    done = subprocess.run(command, capture_output=True, check=True)
    return imports_of(done.stderr)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_while_python_imports_is_one_line(
    terminal: Any, tmp_path: Path, imports_in_all: int, moment: int, as_json: bool
) -> None:
    """The last moments are later than the imports of the commands: in those of the engine."""
    place = 1 + moment * imports_in_all // 12
    out = tmp_path / "out" if as_json else None
    options = ["--json"] if as_json else []
    # an unknown variable sends `jobs` through the settings, the ledger and its migrations
    process = terminal("tasks", *options, out=out, PYTHONPROFILEIMPORTTIME="1")

    process.read_until(lambda text: imports_of(text) >= place)
    process.press_ctrl_c()

    assert process.end() == 130
    assert [line for line in process.lines if IMPORT.decode() not in line] == [STOPPED]
    if out is not None:
        assert json.loads(out.read_text())["error"] == "Interrupted"


@pytest.mark.parametrize("calls", [number + 1 for number in MOMENTS])
@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_at_any_call_of_a_run_is_one_line_and_buys_once(
    quick_terminal: Any,
    cli: Any,
    sandbox: Any,
    small_picture: Path,
    small_clip: Path,
    tmp_path: Path,
    calls: int,
    as_json: bool,
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    out = tmp_path / "out" if as_json else None
    command = ["run", small_picture, small_clip]
    process = quick_terminal(*command, *(["--json"] if as_json else []), out=out)

    process.read_until(lambda _: len(sandbox.calls()) >= calls)
    process.press_ctrl_c()

    assert process.end() == 130
    said = [line for line in process.lines if line.startswith("Stopped")]
    assert len(said) == 1, process.text
    shown = [line for line in process.lines if not line.startswith("Stopped")]
    assert all(line.split(": ")[0].strip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ") in STAGES for line in shown), process.text
    if out is not None:
        answer = json.loads(out.read_text())
        assert (answer["error"], answer["message"]) == ("Interrupted", said[0])
    sandbox.move(policy="at once")
    assert cli(*command).end().code == 0
    assert len(sandbox.creates()) == 1


STAGES = {"starting", "check", "conform", "upload", "queue", "submit", "wait", "collect", "settle", "prepare"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_in_a_long_list_is_one_line(
    quick_terminal: Any, many_jobs: Callable[[int], None], moment: int
) -> None:
    many_jobs(3000)
    process = quick_terminal("jobs")

    process.read_until(lambda text: text.count(b"\n") > moment * 100)
    process.press_ctrl_c()

    assert process.end() == 130
    assert process.lines[-1].endswith(STOPPED)
    assert process.text.count(b"Stopped") == 1
    assert b"Traceback" not in process.text


@pytest.mark.parametrize("command", ["sandbox", "gateway"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_server_stops_in_one_line(
    terminal: Any, tmp_path: Path, command: str, number: signal.Signals, as_json: bool, unused_tcp_port: int
) -> None:
    options = ["--json"] if as_json else []
    out = tmp_path / "out"
    process = terminal(
        *(command, *options, *(["--port", "0"] if command == "sandbox" else [])),
        out=out,
        KLING_ONCE_PUBLIC_URL="https://clips.example",
        KLING_ONCE_GATEWAY_PORT=str(unused_tcp_port),
    )
    process.read_until(lambda _: out.read_text().endswith("\n"))

    process.popen.send_signal(number)

    assert process.end() == (130 if number == signal.SIGINT else 0)
    assert process.lines == ["Stopped."]
    if as_json:
        assert "url" in json.loads(out.read_text())


@pytest.mark.parametrize("calls", [1, 3, 5, 8])
def test_sigterm_cleans_up_as_ctrl_c_does(
    terminal: Any, sandbox: Any, small_picture: Path, small_clip: Path, home: Path, calls: int
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    process = terminal("run", small_picture, small_clip)
    process.read_until(lambda _: len(sandbox.calls()) >= calls)

    process.popen.send_signal(signal.SIGTERM)

    assert process.end() == 143
    assert [line[:7] for line in process.lines if line.startswith("Stopped")] == ["Stopped"]
    assert [path for path in (home / "work").rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert [path.name for path in (home / "owners").iterdir()] == []


def run_into(stdout: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a shell with this redirection of standard output."""
    command = ["sh", "-c", f'"$@" {stdout}', "sh", sys.executable, "-P", "-m", "kling_once.cli.app"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("stdout", ["> /dev/full", ">&-", "| true; exit 1"])
@pytest.mark.parametrize(
    "arguments", [("jobs",), ("jobs", "--json"), ("jobs", "--csv"), ("--help",), ("--version",), ("doctor",)]
)
def test_a_standard_output_that_takes_nothing_is_one_line(
    hermetic: None, stdout: str, arguments: tuple[str, ...]
) -> None:
    done = run_into(stdout, *arguments)
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    if "true" in stdout and not lines:
        return  # written before the reader was gone
    assert len(lines) == 1, lines
    assert lines[0].startswith("Standard output cannot be written: ")


@pytest.mark.parametrize("stdout", ["> /dev/full", ">&-"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_result_that_cannot_be_printed_stays_kept(
    sandbox: Any, small_picture: Path, small_clip: Path, results: Path, stdout: str, options: tuple[str, ...]
) -> None:
    done = run_into(stdout, "run", small_picture, small_clip, *options)
    (kept,) = results.rglob("*.mp4")
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("Standard output cannot be written: ")
    assert str(kept) in last
    assert b"Traceback" not in done.stderr
    again = run_into("", "run", small_picture, small_clip, "--json")
    assert json.loads(again.stdout)["reused"] is True
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("umask", ["000", "022", "077", "0177"])
def test_files_are_the_users_alone_whatever_the_umask(
    small_picture: Path, small_clip: Path, home: Path, results: Path, tmp_path: Path, umask: str
) -> None:
    shell = f'umask {umask}; exec "$@"'
    command = ["sh", "-c", shell, "sh", sys.executable, "-P", "-m", "kling_once.cli.app"]
    arguments = ["run", small_picture, small_clip, "-o", tmp_path / "new" / ""]
    done = subprocess.run(
        [*command, *map(str, arguments[:-1]), f"{tmp_path}/new/"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [path for top in (home, results, tmp_path / "new") for path in (top, *top.rglob("*"))]
    assert len(found) > 10
    wrong = [path for path in found if path.stat().st_mode & 0o777 != (0o700 if path.is_dir() else 0o600)]
    assert wrong == []


def test_help_and_version_take_half_a_second(hermetic: None) -> None:
    """Compared with a Python that does nothing, of the same moment."""

    def seconds(*arguments: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, "-P", *arguments], capture_output=True, check=True)
        after = os.times()
        return (after.children_user - before.children_user) + (after.children_system - before.children_system)

    idle = min(seconds("-c", "pass") for _ in range(3))
    for option in ("--help", "--version"):
        assert min(seconds("-m", "kling_once.cli.app", option) for _ in range(3)) - idle < 0.5
