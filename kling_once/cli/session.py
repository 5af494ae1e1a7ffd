"""An engine for one command, and its errors told at the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from ..errors import KlingOnceError
from .terminal import print_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..client import Client


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
