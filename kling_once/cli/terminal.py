"""Output of the command line: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from ..errors import InputRefused, KlingOnceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..jobs.check import Checked
    from ..jobs.progress import Progress

KEY_CHARACTERS: Final = 10
"""Of a job key in a table: as many as `collect` takes for it."""

SHORTEST_CELL: Final = 8
"""Characters of a cell that is cut; a column for which not even those are left is not shown."""

GAP: Final = "  "

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


def shown(text: object) -> str:
    """Return foreign text as it may stand in a terminal: nothing in it is a colour, a link or a control.

    Line breaks stay; every other character that cannot be seen is escaped.
    """
    return escape("".join(_visible(character) for character in str(text)))


def _visible(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape").decode()


def one_line(text: object) -> str:
    """Return foreign text as one line without controls, for a cell of a table."""
    value = str(text)
    if value.isprintable():
        return value
    return "".join(" " if character.isspace() else _visible(character) for character in value)


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
        from ..web.answers import failure_of  # noqa: PLC0415 - keeps --help quick

        print_json(failure_of(error).model_dump(mode="json"))
        return
    if isinstance(error, InputRefused):
        err.print(f"[red]Nothing was sent.[/red] {len(error.violations)} to mend:")
        for violation in error.violations:
            err.print(f"  - {shown(violation.message)}")
        return
    err.print(f"[red]{shown(error.message)}[/red]")
    if error.task_id and error.task_id not in error.message:
        err.print(f"Task {shown(error.task_id)}.")
    if error.hint:
        err.print(shown(error.hint))


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
                err.print(f"{progress.stage.value}: {shown(text_of(progress))}")

        yield line
        return
    with err.status("starting") as status:
        yield lambda progress: status.update(f"{progress.stage.value}: {shown(text_of(progress))}")


def print_check(checked: Checked) -> None:
    """Print the findings of a check, the price, and whether running the job is free."""
    for violation in checked.violations:
        out.print(f"[red]x[/red] {shown(violation.message)}")
    for refusal in checked.refusals:
        out.print(f"[red]x[/red] {shown(refusal)}")
    for line in (*checked.report, *checked.notes):
        out.print(f"- {shown(line)}")
    for path in checked.written:
        out.print(f"Written: {shown(path)}")
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


def print_table(columns: Sequence[str], rows: Iterable[dict[str, Any]], *, whole: Sequence[str] = ()) -> None:
    """Print rows as a table, one line a row.

    In a terminal the cells of a column may be cut to fit its width, and columns for which no room is left are
    not shown. A pipe gets everything.

    Args:
        columns: the fields of a row, those that matter most first.
        rows: their values by field.
        whole: columns that are never cut, such as ids, which are copied.
    """
    cells = [columns, *([one_line(_cell(row.get(name))) for name in columns] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    if out.is_terminal:
        room = out.width
        for number, name in enumerate(columns):
            least = widths[number] if name in whole else min(widths[number], SHORTEST_CELL)
            widths[number] = min(widths[number], room) if least <= room else 0
            room -= widths[number] + len(GAP) if widths[number] else 0
    lines = (
        GAP.join(_fitted(cell, width) for cell, width in zip(row, widths, strict=True) if width).rstrip()
        for row in cells
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def print_attempts(rows: Iterable[dict[str, Any]]) -> None:
    """Print attempts of the ledger as a table whose ids can be copied."""
    found = (
        row
        | {
            "job": row["job_key"][:KEY_CHARACTERS],
            "started": row["started_at"].astimezone().strftime("%Y-%m-%d %H:%M"),
            "units": row["units_charged"],
        }
        for row in rows
    )
    columns = ("job", "started", "state", "task_id", "units", "project", "service", "result_path")
    print_table(columns, found, whole=columns[:5])


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _fitted(text: str, width: int) -> str:
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    return set_cell_size(text, width) if _width(text) <= width else set_cell_size(text, width - 1) + "…"


def print_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as CSV; a cell that a spreadsheet would evaluate as a formula is prefixed with a quote."""
    from ..web.answers import spreadsheet_cell  # noqa: PLC0415 - keeps --help quick

    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(spreadsheet_cell(_cell(row.get(name))) for name in columns)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
