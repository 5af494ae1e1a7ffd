"""Start-up: options that cannot work end in one line."""

from __future__ import annotations

import ast
import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import kling_once.sandbox
from kling_once.sandbox import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_API_KEY,
    DEFAULT_SECRET_KEY,
    Sandbox,
    SandboxOptions,
    Transitions,
)
from kling_once.sandbox.__main__ import main

FOLDER = Path(kling_once.sandbox.__file__).parent


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    error = capsys.readouterr().err
    assert error.startswith("The sandbox cannot listen on 127.0.0.1:")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--transitions", "never"],
        ["--transitions", "polls:x"],
        ["--transitions", "seconds:-1"],
        ["--fetch", "some"],
        ["--port", "x"],
        ["--days-ahead", "soon"],
    ],
)
def test_an_unknown_choice_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--parallel-limit", "0"], ["--api-key", ""], ["--token", ""], ["--callback-secret", "x y"]]
)
def test_a_value_that_cannot_work_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--port", "0"]) == 1
    assert capsys.readouterr().err.startswith("The sandbox cannot start: ")


@pytest.mark.parametrize("text", ["at once", "at-once", "polls:0", "polls:2", "seconds:1.5"])
def test_transitions_are_read_from_text(text: str) -> None:
    assert Transitions.from_json(Transitions.from_text(text).to_json()) == Transitions.from_text(text)


def test_default_keys_are_long_enough_for_hs256() -> None:
    for key in (DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, DEFAULT_API_KEY):
        assert len(key) >= 32


def test_options_show_no_key() -> None:
    shown = repr(SandboxOptions(token="t0k3n-t0k3n"))
    for secret in (DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, DEFAULT_API_KEY, "t0k3n-t0k3n"):
        assert secret not in shown


async def test_a_temporary_state_is_gone_after_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = Sandbox(SandboxOptions())
    await sandbox.start()
    folder, *others = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert others == []
    await sandbox.stop()
    assert not folder.exists()
    assert sandbox.origin == ""


async def test_a_stopped_sandbox_can_be_started_again(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxOptions(state_dir=tmp_path))
    for _ in range(2):
        await sandbox.start()
        with pytest.raises(RuntimeError):
            await sandbox.start()
        await sandbox.stop()
    await sandbox.stop()


def test_the_package_imports_nothing_else_of_ours_and_nothing_heavy() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, path
                assert not (node.module or "").startswith("kling_once"), path
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("kling_once") for name in node.names), path
    check = "import sys, kling_once.sandbox; print({'av', 'PIL', 'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
