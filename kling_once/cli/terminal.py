"""Output of the command line: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from typer.core import TyperGroup

from ..errors import InputRefused, KlingOnceError
from ..web.answers import failure_of, spreadsheet_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..jobs.check import Checked
    from ..jobs.progress import Progress

PIPE_COLUMNS: Final = 10_000
"""Width of output that is not a terminal, so that no line is broken."""

UsageError: Final[Any] = typer.BadParameter.__mro__[1]
"""Click's base class of every error in the command line, which typer does not export."""

err = Console(stderr=True, soft_wrap=True, highlight=False)
out = Console(soft_wrap=True, highlight=False)


class Commands(TyperGroup):
    """The commands of `kling-once`; with `--json` a usage error is printed as JSON too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run a command and exit."""
        if "--json" not in (sys.argv if args is None else args):
            return super().main(args, *rest, **options)
        try:
            code = super().main(args, *rest, **(options | {"standalone_mode": False}))
        except UsageError as error:
            hint = f"See '{error.ctx.command_path} --help'." if error.ctx else None
            print_json({"error": "UsageError", "message": error.format_message(), "hint": hint})
            code = error.exit_code
        except typer.Abort:
            code = 1
        sys.exit(code)


def forgive_encodings() -> None:
    """Escape characters that standard output or error cannot encode, so that printing never fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print one JSON object, in ASCII so that it survives any encoding.

    Raises:
        ValueError: it holds NaN or an infinite number.
    """
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_error(error: KlingOnceError, *, as_json: bool) -> None:
    """Print an error and its hint to standard error, or as JSON to standard output."""
    if as_json:
        print_json(failure_of(error).model_dump(mode="json"))
        return
    if isinstance(error, InputRefused):
        err.print(f"[red]Nothing was sent.[/red] {len(error.violations)} to mend:")
        for violation in error.violations:
            err.print(f"  - {escape(violation.message)}")
        return
    err.print(f"[red]{escape(error.message)}[/red]")
    if error.task_id and error.task_id not in error.message:
        err.print(f"Task {escape(error.task_id)}.")
    if error.hint:
        err.print(escape(error.hint))


@contextmanager
def progress_display(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Yield a listener that shows progress: one changing line on a terminal, else one line a change."""
    if quiet:
        yield lambda _progress: None
        return
    seen: list[tuple[str, str]] = []

    def text_of(progress: Progress) -> str:
        text = progress.text
        if progress.total:
            text += f" {100 * progress.done // progress.total} %"
        return f"{text} (task {progress.task_id})" if progress.task_id else text

    if not err.is_terminal:

        def line(progress: Progress) -> None:
            if not seen or seen[-1] != (progress.stage, progress.text):
                seen.append((progress.stage, progress.text))
                err.print(f"{progress.stage.value}: {escape(text_of(progress))}")

        yield line
        return
    with err.status("starting") as status:
        yield lambda progress: status.update(f"{progress.stage.value}: {escape(text_of(progress))}")


def print_check(checked: Checked) -> None:
    """Print the findings of a check, the price, and whether running the job is free."""
    for violation in checked.violations:
        out.print(f"[red]x[/red] {escape(violation.message)}")
    for refusal in checked.refusals:
        out.print(f"[red]x[/red] {escape(refusal)}")
    for line in (*checked.report, *checked.notes):
        out.print(f"- {escape(line)}")
    for path in checked.written:
        out.print(f"Written: {path}", markup=False)
    if checked.price is not None:
        price = checked.price
        out.print(
            f"{price.seconds.normalize():f} s, up to {price.units.normalize():f} units,"
            f" up to {price.cash.normalize():f} {price.currency} on Kling; nothing in the sandbox."
        )
    if checked.is_kept:
        out.print("This job is paid and kept already: running it costs nothing.")
    elif checked.ok:
        out.print("[green]Ready.[/green]")


def print_table(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as a table; long cells are folded and never cut, so that ids can be copied."""
    table = Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_cell(row.get(name))) for name in columns))
    console = out if out.is_terminal else Console(width=PIPE_COLUMNS, highlight=False)
    console.print(table)


def print_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as CSV; a cell that a spreadsheet would evaluate as a formula is prefixed with a quote."""
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(spreadsheet_cell(_cell(row.get(name))) for name in columns)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
