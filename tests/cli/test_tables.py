"""Tables of jobs: quick, narrow enough for a terminal, one line a row, ids whole."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.cli import terminal
from kling_once.cli.terminal import print_attempts, print_table

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a terminal of 80 columns."""
    monkeypatch.setattr(terminal, "out", terminal.Console(force_terminal=True, width=80))


@pytest.mark.process
def test_ten_thousand_jobs_are_listed_within_a_second(kling: Any, many_jobs: Callable[[int], None]) -> None:
    many_jobs(10_000)
    kling("jobs", "--since", "0d")  # imports
    took = []
    for _ in range(3):  # the quickest: neighbours of a busy machine slow each other down
        began = time.process_time()
        done = kling("jobs")
        took.append(time.process_time() - began)
        assert len(done.out.splitlines()) == 10_001
    assert min(took) < 1


@pytest.mark.parametrize(
    "project",
    ["spot", "long " * 40, "two\nlines\r\n", "\x1b[31mred\x1b[2J", "舞" * 60, "\u202egnp.exe", "a\ud800b"],
)
def test_a_row_is_one_line_of_80_columns_with_ids_whole(
    narrow: None, capsys: pytest.CaptureFixture[str], project: str
) -> None:
    row: dict[str, Any] = {
        "job_key": "0123456789" * 6,
        "started_at": datetime(2026, 11, 28, 5, 4, tzinfo=UTC),
        "state": "submitted",
        "task_id": "811461243664102693",
        "units_charged": None,
        "project": project,
        "service": "sandbox",
        "result_path": "spot/" + "x" * 200,
    }
    print_attempts([row] * 3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line in lines[1:]:
        assert terminal.cell_len(line) <= 80
        assert line.startswith("0123456789  ")
        assert "811461243664102693" in line
        assert line.encode(errors="surrogatepass").isascii() or all(
            character.isprintable() for character in line
        )


def test_a_pipe_gets_every_cell_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [{"a": "x" * 300, "b": "two\nlines"}])
    assert capsys.readouterr().out.splitlines()[1] == "x" * 300 + "  two lines"
