"""`python -m kling_once.sandbox`: a stand-alone sandbox."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .options import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_API_KEY,
    DEFAULT_SECRET_KEY,
    TRIAL_PARALLEL_LIMIT,
    SandboxOptions,
    Transitions,
)
from .rules import DAY_SECONDS
from .server import serve


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve until SIGINT or SIGTERM; return the exit code."""
    given = vars(_parser().parse_args(arguments))
    host, port, ahead = given.pop("host"), given.pop("port"), given.pop("days_ahead") * DAY_SECONDS
    try:
        serve(SandboxOptions(**given, now=lambda: time.time() + ahead), host, port)
    except OSError as error:
        problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
    except ValueError as error:
        problem = f"cannot start: {error}"
    else:
        return 0
    sys.stderr.write(f"The sandbox {problem}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kling_once.sandbox",
        description="A local stand-in for Kling's motion-control API. It costs nothing and needs no account.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; beyond loopback the controls need a token")
    add("--port", type=int, default=8190, help="port to listen on; 0 picks a free one and prints it")
    add("--access-key", default=DEFAULT_ACCESS_KEY, help="access key of the sandbox's account")
    add("--secret-key", default=DEFAULT_SECRET_KEY, help="secret key, 32 characters or more")
    add("--api-key", default=DEFAULT_API_KEY, help="static API key")
    add("--fetch", choices=("own", "any"), default="own", help="fetch its own uploads only, or any URL")
    add("--callbacks", choices=("loopback", "any"), default="loopback", help="where callbacks may go")
    add("--callback-secret", help="whsec_<base64>: sign callbacks by Standard Webhooks")
    add("--state", type=Path, dest="state_dir", help="folder of the state; without it a temporary one")
    add("--parallel-limit", type=int, default=TRIAL_PARALLEL_LIMIT, help="tasks at a time before 1303")
    add("--token", help="value that the header X-Sandbox-Token must have under /sandbox/")
    add("--quick-results", action="store_true", help="small results at 10 frames a second, for tests")
    add("--charge", choices=("units", "cash"), default="units", help="how a deduction is shown")
    add("--duplicates-allowed", action="store_true", help="a repeated external id makes a second task")
    add("--days-ahead", type=float, default=0, help="how far its clock is ahead: 31 clears today's results")
    add(
        "--transitions",
        type=_transitions,
        default="polls:2",
        help="when tasks move on: 'at once', 'polls:N' or 'seconds:T'",
    )
    return parser


def _transitions(text: str) -> Transitions:
    try:
        return Transitions.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
