"""What commands do around their work: an engine, errors in words, progress, Ctrl-C while they wait."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from ..errors import KlingOnceError
from .ending import Interrupted
from .terminal import print_error, progress_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..client import Client
    from ..jobs.progress import Progress


@contextmanager
def engine_and_errors(*, as_json: bool = False, **overrides: Any) -> Iterator[Client]:
    """Yield an engine; a `KlingOnceError` is printed and ends the program with exit code 1.

    Args:
        as_json: whether the error is printed as JSON.
        **overrides: settings that take precedence over the environment.
    """
    from ..client import Client  # noqa: PLC0415 - takes its time, which --help has not

    with errors_told(as_json=as_json), Client(**overrides) as engine:
        yield engine


@contextmanager
def errors_told(*, as_json: bool) -> Iterator[None]:
    """Print a `KlingOnceError` and end the program with exit code 1."""
    try:
        yield
    except KlingOnceError as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(1) from None


def wait_for(start: Callable[[Callable[[Progress], None]], Any], *, as_json: bool) -> Any:
    """Return what a job comes to, with its progress on standard error.

    Args:
        start: begins the job; it is given who listens to its progress.
        as_json: show no progress.

    Raises:
        Interrupted: by a signal; it says what goes on.
    """
    from ..jobs.progress import Stage  # noqa: PLC0415 - keeps --help quick

    last: list[Progress] = []
    try:
        with progress_display(quiet=as_json) as show:

            def listen(progress: Progress) -> None:
                last[:] = [progress]
                show(progress)

            future = start(listen)
            try:
                return future.result()
            except Interrupted:
                future.cancel()
                raise
    except Interrupted as stop:  # the display is closed, which would wipe the line away
        task_id = last[0].task_id if last else None
        if task_id:
            line = f"Stopped waiting. Task {task_id} goes on at Kling; run the same again to collect it."
            stop.say(line, task_id)
        elif last and last[0].stage is Stage.SUBMIT:
            stop.say("Stopped while a create was on its way. Run the same again: it is looked for first.")
        raise
