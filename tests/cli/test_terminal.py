"""What is printed: one JSON object for programs, plain lines for people, harmless cells for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.cli.terminal import (
    print_csv,
    print_error,
    print_json,
    print_table,
)
from kling_once.errors import InputRefused, TaskFailed, Violation

if TYPE_CHECKING:
    from pathlib import Path


def test_json_is_one_object_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "舞 \udcff"})
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"name": "舞 \udcff"}
    assert shown.out.isascii()
    assert shown.err == ""


def test_what_json_does_not_know_is_never_printed_as_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"seconds": float("nan")})


def test_an_error_as_json_stays_off_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(TaskFailed("It failed.", hint="Try again.", task_id="8001"), as_json=True)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["task_id"] == "8001"
    assert shown.err == ""


def test_an_error_for_people_is_on_standard_error_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_error(TaskFailed("It failed.", hint="Try again.", task_id="8001"), as_json=False)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["It failed.", "Task 8001.", "Try again."]
    assert shown.out == ""


def test_a_vendors_text_cannot_colour_or_hide_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(TaskFailed("[red]It[/red] [link=https://x.example]failed[/link] [/"), as_json=False)
    broken = InputRefused([Violation("prompt", "prompt.length", "[bold]Too long[/bold]")])
    print_error(broken, as_json=False)
    shown = capsys.readouterr().err
    assert "[red]It[/red] [link=https://x.example]failed[/link] [/" in shown
    assert "[bold]Too long[/bold]" in shown


def test_a_long_message_is_one_line_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_error(TaskFailed("word " * 60 + "end."), as_json=False)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(capsys: pytest.CaptureFixture[str], cell: str) -> None:
    print_csv(("project", "units"), [{"project": cell, "units": 2.5}])
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert rows == [["project", "units"], ["'" + cell, "2.5"]]


def test_an_ordinary_cell_is_as_it_is_and_nothing_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv(("a", "b", "c"), [{"a": 'He said "a, b"', "b": None, "c": "line\nbreak"}])
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        ["a", "b", "c"],
        ['He said "a, b"', "", "line\nbreak"],
    ]


def test_a_table_shows_foreign_text_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("project",), [{"project": "[red]x[/red]"}])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_no_id_in_a_table_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    ids = {"task_id": "811461243664102693", "external_task_id": "ko-" + "0" * 32 + "-1", "reason": "x" * 300}
    print_table(tuple(ids), [ids])
    shown = capsys.readouterr().out
    assert all(text in shown for text in ids.values())


PREPARED = (
    "from kling_once.cli.ending import Ending; from kling_once.cli.terminal import *; Ending(as_json=False);"
)


def printed(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            PREPARED + code,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_pipe_is_too_narrow_for_a_name(encoding: str) -> None:
    name = r"'\u821e \udcff'"
    done = printed(
        f"out.print({name}); err.print({name}); print_csv(('a',), [{{'a': {name}}}]);"
        f"print_table(('a',), [{{'a': {name}}}]); print_json({{'a': {name}}})",
        PYTHONIOENCODING=encoding,
    )
    assert done.returncode == 0, done.stderr
    assert r"\udcff" in done.stdout
    assert r"\udcff" in done.stderr


@pytest.fixture
def odd_picture(tmp_path: Path, small_picture: Path) -> Path:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(small_picture.read_bytes())
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_a_file_name_that_is_no_text_costs_nothing(
    engine: Any, order: Any, odd_picture: Path, sandbox: Any
) -> None:
    outcome = engine.run(order(image=odd_picture, image_name="")).result(30)
    assert outcome.path.is_file()
    assert "caf" in outcome.path.name
    outcome.path.name.encode()
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("field", ["prompt", "project"])
def test_half_a_character_is_refused_before_anything_is_sent(
    engine: Any, order: Any, sandbox: Any, field: str
) -> None:
    with pytest.raises(InputRefused, match="half of a character"):
        engine.run(order(**{field: "a\ud800"})).result(30)
    assert sandbox.calls() == []
