"""The entry of the command line, which is ready for a signal before anything large is imported."""

from __future__ import annotations

import os
import sys

from .ending import Ending, Interrupted, OutputLost


def main() -> None:
    """Run the command line.

    Exit codes: 1 when something is wrong, 2 for a usage error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    ending = Ending(as_json="--json" in sys.argv)
    ending.leave_at_once_on_signals()
    os.umask(0o077)  # what the home holds is the user's alone
    try:
        code = _run(ending)
        ending.leave_at_once_on_signals()
    except Interrupted as stop:
        ending.leave(stop.exit_code)
    except KeyboardInterrupt:  # a server's event loop leaves Python's own handler behind
        ending.leave(130)
    sys.exit(code)


def _run(ending: Ending) -> int | str | None:
    from .commands import app  # noqa: PLC0415 - takes its time

    ending.raise_on_signals()
    try:
        try:
            app(prog_name="kling-once")
        finally:
            sys.stdout.flush()
    except OutputLost as error:
        sys.stderr.write(f"Standard output cannot be written: {error}.\n")
        return 1
    except SystemExit as end:
        return end.code
    return 0


if __name__ == "__main__":
    main()
