"""`python -m kling_once.sandbox`: a stand-alone sandbox."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .options import (
    CHARGES,
    DEFAULT_ACCESS_KEY,
    DEFAULT_API_KEY,
    DEFAULT_SECRET_KEY,
    TRIAL_PARALLEL_LIMIT,
    SandboxOptions,
    Transitions,
)
from .rules import DAY_SECONDS
from .server import serve

if TYPE_CHECKING:
    from .server import Sandbox


def main(arguments: list[str] | None = None, program: str = "python -m kling_once.sandbox") -> int:
    """Parse the command line and serve until SIGINT or SIGTERM.

    Returns:
        The exit code: 1 when it cannot serve, 130 after SIGINT, 0 after SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    kind = _JsonParser if "--json" in words else argparse.ArgumentParser
    given = vars(_parser(program, kind).parse_args(words))
    host, port, ahead = given.pop("host"), given.pop("port"), given.pop("days_ahead") * DAY_SECONDS
    as_json = given.pop("json")
    try:
        options = SandboxOptions(**given, now=lambda: time.time() + ahead)
        number = serve(options, host, port, _say_json if as_json else None)
    except OSError as error:
        problem = f"The sandbox cannot listen on {host}:{port}: {error.strerror or error}"
    except ValueError as error:
        problem = f"The sandbox cannot start: {error}"
    else:
        sys.stderr.write("Stopped.\n")
        return 130 if number == signal.SIGINT else 0
    if as_json:
        _print_json({"error": "SandboxError", "message": problem, "hint": None})
    else:
        sys.stderr.write(f"{problem}\n")
    return 1


class _JsonParser(argparse.ArgumentParser):
    """A parser that tells a usage error in a JSON object."""

    def error(self, message: str) -> NoReturn:
        """Print the error and end the program with exit code 2."""
        hint = f"See '{self.prog} --help'."
        _print_json({"error": "UsageError", "message": message, "hint": hint})
        self.exit(2)


def _say_json(sandbox: Sandbox) -> None:
    _print_json({"url": sandbox.origin, "token": sandbox.token})


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def _parser(program: str, kind: type[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = kind(
        prog=program,
        description="A local stand-in for Kling's motion-control API. It costs nothing and needs no account.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; beyond loopback the controls need a token")
    add("--port", type=int, default=8190, help="port to listen on; 0 picks a free one and prints it")
    add("--access-key", default=DEFAULT_ACCESS_KEY, help="access key of the sandbox's account")
    add("--secret-key", default=DEFAULT_SECRET_KEY, help="secret key, 32 characters or more")
    add("--api-key", default=DEFAULT_API_KEY, help="static API key")
    add(
        "--fetch",
        choices=("own", "any", "guarded"),
        default="own",
        help="fetch its own uploads only, any URL, or none of a private address but this machine's",
    )
    add("--callbacks", choices=("loopback", "any"), default="loopback", help="where callbacks may go")
    add("--callback-secret", help="whsec_<base64>: sign callbacks by Standard Webhooks")
    add("--state", type=Path, dest="state_dir", help="folder of the state; without it a temporary one")
    add("--parallel-limit", type=int, default=TRIAL_PARALLEL_LIMIT, help="tasks at a time before 1303")
    add("--token", help="value that the header X-Sandbox-Token must have under /sandbox/")
    add("--quick-results", action="store_true", help="small results at 10 frames a second, for tests")
    add("--charge", choices=CHARGES, default="units", help="how a deduction is shown")
    add("--duplicates-allowed", action="store_true", help="a repeated external id makes a second task")
    add("--unknown-fields", choices=("refuse", "ignore"), default="refuse", help="what to do with them")
    add("--days-ahead", type=float, default=0, help="how far its clock is ahead: 31 clears today's results")
    add("--json", action="store_true", help="print one JSON object: url and token, or what is wrong")
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
