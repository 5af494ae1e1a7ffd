"""The commands of `kling-once`."""

from __future__ import annotations

import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - Typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingsError
from ..order import (
    USUAL_WAIT_MINUTES,
    Kind,
    MotionControl,
    Order,
    Service,
    VideoFile,
)
from ..version import package_version
from .copy import Copy
from .elements import elements_app
from .ending import Interrupted, OutputLost
from .ledger import ledger_app
from .options import (
    ImageArgument,
    JsonOption,
    OrderOptions,
    OutOption,
    ProfileOption,
    ServiceOption,
    SoundOption,
    VideoArgument,
    WaitOption,
    moment_of,
    takes_order_options,
    this_invocation,
)
from .session import engine_and_errors, errors_told, wait_for
from .terminal import (
    Commands,
    err,
    out,
    print_attempts,
    print_check,
    print_csv,
    print_json,
    print_table,
    shown,
)

if TYPE_CHECKING:
    from ..client import Client
    from ..hosting.gateway import Gateway
    from ..jobs.outcome import Outcome

MOST_COLLECTED = 100
"""Tasks that `worker` watches at once."""

app = typer.Typer(
    cls=Commands,
    help="Kling Motion Control with your own account: paid once, kept for good.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

store_app = typer.Typer(help="Reference videos at the media host.", no_args_is_help=True)
app.add_typer(store_app, name="store")
app.add_typer(elements_app, name="elements")
app.add_typer(ledger_app, name="ledger")
keys_app = typer.Typer(help="Keys, and who may write them.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


def _say_version(wanted: bool) -> None:
    if wanted:
        out.print(package_version())
        raise typer.Exit


@app.callback()
def settings_for_all(
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Kling Motion Control with your own account: paid once, kept for good."""
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter(f"{log_level!r} is not one of debug, info, warning, error.")
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


@app.command()
def demo(
    out_text: OutOption = "",
    keep_sound: SoundOption = True,
    as_json: JsonOption = False,
) -> None:
    """Make a video now: bundled inputs, embedded sandbox, no key, no network, no cost."""
    from ..demo import CHARACTER, MOTION  # noqa: PLC0415 - for this command alone

    order = Order(
        image=CHARACTER,
        video=VideoFile(MOTION),
        motion=MotionControl(keep_original_sound=keep_sound),
        project="demo",
        spender=this_invocation(),
    )
    with engine_and_errors(as_json=as_json, sandbox_url=None, poll_seconds=1.0) as engine:
        _run(engine, order, out_text, as_json=as_json)


@app.command()
@takes_order_options
def check(
    image: ImageArgument,
    video: VideoArgument,
    *,
    options: OrderOptions,
    write: Annotated[Path | None, typer.Option(help="Leave what would be sent in this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List every broken limit, the seconds and the price. Spends nothing, sends nothing."""
    from ..web.answers import CheckAnswer  # noqa: PLC0415 - for this command alone

    with engine_and_errors(as_json=as_json) as engine:
        checked = engine.check(options.order(image, video), write).result()
    if as_json:
        print_json(CheckAnswer.of(checked).model_dump(mode="json"))
    else:
        print_check(checked)
    if not checked.ok:
        raise typer.Exit(1)


@app.command()
@takes_order_options
def run(
    image: ImageArgument,
    video: VideoArgument,
    *,
    out_text: OutOption = "",
    options: OrderOptions,
    again: Annotated[
        bool, typer.Option("--again", help="Try again after a failure that is likely to come back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the video, paying at most once however often this is run."""
    with engine_and_errors(as_json=as_json) as engine:
        _run(engine, options.order(image, video, again=again), out_text, as_json=as_json)


@app.command()
def collect(
    name: Annotated[str, typer.Argument(metavar="JOB_OR_TASK_ID", help="Job key, task id or external id.")],
    from_file: Annotated[
        Path | None, typer.Option(help="Keep this file, which you fetched yourself, as the result.")
    ] = None,
    out_text: OutOption = "",
    wait_minutes: WaitOption = USUAL_WAIT_MINUTES,
    as_json: JsonOption = False,
) -> None:
    """Fetch the result of a task that exists. Pays nothing."""
    with engine_and_errors(as_json=as_json) as engine:
        copy = Copy.of(out_text)
        if from_file is not None:
            outcome = engine.keep_file(name, from_file).result()
        else:
            outcome = wait_for(
                lambda listen: engine.collect(name, listen, wait_minutes=wait_minutes), as_json=as_json
            )
        _deliver(outcome, copy, as_json=as_json)


@app.command()
def jobs(
    since: Annotated[str, typer.Option(help="A date (2026-11-22) or a span (7d).")] = "",
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print everything as CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what the ledger knows, newest first."""
    import asyncio  # noqa: PLC0415 - keeps --help quick

    with errors_told(as_json=as_json):
        found = asyncio.run(_history(moment_of(since), project))
    if not as_json and not as_csv:
        print_attempts(found)
        return
    from ..web.answers import ATTEMPT_COLUMNS, AttemptAnswer  # noqa: PLC0415 - for this command alone

    payloads = [AttemptAnswer.model_validate(row).model_dump(mode="json") for row in found]
    if as_json:
        print_json({"jobs": payloads})
    else:
        print_csv(ATTEMPT_COLUMNS, payloads)


@app.command()
def tasks(
    page: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    page_size: Annotated[int, typer.Option(min=1, max=500)] = 30,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the account's tasks, as Kling's list endpoint gives them."""
    from ..web.answers import TaskAnswer  # noqa: PLC0415 - for this command alone

    with engine_and_errors(as_json=as_json) as engine:
        listed = engine.list_tasks(service, profile, page, page_size).result()
    payloads = [TaskAnswer.of(task).model_dump(mode="json") for task in listed.tasks]
    if as_json:
        print_json({"page": page, "page_size": page_size, "tasks": payloads})
    else:
        print_table(("created_at", "task_id", "status", "external_task_id", "units", "reason"), payloads)


@app.command()
def doctor(profile: ProfileOption = "", as_json: JsonOption = False) -> None:
    """Say what is configured (no values), where things are kept, and whether Kling answers.

    Exit code 1 when something is broken.
    """
    from .doctor import examine  # noqa: PLC0415 - for this command alone

    with engine_and_errors(as_json=as_json) as engine:
        findings = list(examine(engine, profile))
    if as_json:
        print_json(
            {item.subject: {"ok": item.ok, "broken": item.broken, "text": item.text} for item in findings}
        )
    else:
        for item in findings:
            word = "FAIL" if item.broken else "ok  " if item.ok else "LOOK"
            out.print(f"{word} {item.subject}: {shown(item.text)}")
    if any(item.broken for item in findings):
        raise typer.Exit(1)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def sandbox(context: typer.Context) -> None:
    """Run a sandbox of its own: `kling-once sandbox --help` lists its options."""
    from ..sandbox.__main__ import main as serve  # noqa: PLC0415 - brings the server

    raise typer.Exit(serve(context.args, "kling-once sandbox"))


@app.command()
def gateway(as_json: JsonOption = False) -> None:
    """Serve reference videos to Kling through your tunnel or proxy (KLING_ONCE_PUBLIC_URL)."""
    from ..hosting.gateway import serve_gateway  # noqa: PLC0415 - brings the server

    def started(gateway: Gateway) -> None:
        print_json({"url": gateway.public_url, "port": gateway.port, "serving": gateway.serving})

    with engine_and_errors(as_json=as_json) as engine:
        number = serve_gateway(engine.settings, started if as_json else None)
    err.print("Stopped.")
    raise typer.Exit(130 if number == signal.SIGINT else 0)  # SIGTERM is how a server is meant to end


@app.command()
def worker(
    every: Annotated[float, typer.Option(help="Seconds between two looks at the ledger.", min=0.1)] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to collect.")] = False,
) -> None:
    """Collect and settle what any machine of this ledger has submitted; submits nothing."""
    from .worker import work  # noqa: PLC0415 - for this command alone

    with engine_and_errors(max_parallel=MOST_COLLECTED) as engine:
        try:
            engine.ask(work(engine, every_seconds=every, once=once)).result()
        except Interrupted as stop:
            stop.say("Stopped. What it was collecting is free for others.")
            raise typer.Exit(130 if stop.exit_code == 128 + signal.SIGINT else 0) from None


@store_app.command("clean")
def store_clean(
    older_than: Annotated[str, typer.Option(help="A span, such as 2d.")] = "2d", as_json: JsonOption = False
) -> None:
    """Remove reference videos of ours that no unfinished task needs from the media host."""
    with engine_and_errors(as_json=as_json) as engine:
        moment = moment_of(older_than, "--older-than")
        if moment is None:
            raise SettingsError("--older-than is empty; give a span (2d), or 0d for everything.")
        removed, left = engine.clean_store(datetime.now(UTC) - moment).result()
    if as_json:
        print_json({"removed": removed, "left": left})
    else:
        out.print(f"{removed} removed, {left} left.")


@keys_app.command("allow")
def keys_allow(as_json: JsonOption = False) -> None:
    """Print a code that lets ComfyUI's page change a key or a limit once from another machine."""
    from ..ledger.notes import LIFETIME  # noqa: PLC0415 - for this command alone

    minutes = round(LIFETIME.total_seconds() / 60)
    with engine_and_errors(as_json=as_json) as engine:
        code = engine.ask(_pairing_code(engine)).result()
    if as_json:
        print_json({"code": code, "minutes": minutes})
    else:
        out.print(f"{code}\nGood once, for {minutes} minutes.", markup=False)


async def _history(since: datetime | None, project: str | None) -> list[dict[str, Any]]:
    """Read the ledger without an engine, which would take its time to load."""
    from ..clock import SystemClock  # noqa: PLC0415 - keeps --help quick
    from ..ledger.ledger import Ledger  # noqa: PLC0415 - likewise
    from ..settings import load_settings  # noqa: PLC0415 - likewise

    settings = load_settings()
    ledger = Ledger(settings.home, SystemClock(), settings.ledger_url)
    try:
        return await ledger.history(since=since, project=project)
    finally:
        ledger.close()


async def _pairing_code(engine: Client) -> str:
    return await (await engine.ledger()).allow_once()


def _run(engine: Client, order: Order, out_text: str, *, as_json: bool) -> None:
    copy = Copy.of(out_text, order)
    outcome = wait_for(lambda listen: engine.run(order, listen), as_json=as_json)
    _deliver(outcome, copy, as_json=as_json)


def _deliver(outcome: Outcome, copy: Copy | None, *, as_json: bool) -> None:
    from ..web.answers import OutcomeAnswer  # noqa: PLC0415 - keeps --help quick

    payload = OutcomeAnswer.of(outcome).model_dump(mode="json")
    if outcome.label.kind is Kind.ELEMENT:
        copy = None
    if copy is not None:
        payload["path"] = str(copy.make(outcome.path, outcome.attempt.task_id))
        payload["kept_path"] = str(outcome.path)
    try:
        if as_json:
            print_json(payload)
        else:
            out.print(shown(outcome.report()))
            out.print(shown(payload["path"]))
            sys.stdout.flush()
    except OutputLost as error:
        raise OutputLost(f"{error}. The result is kept as {outcome.path}") from None
