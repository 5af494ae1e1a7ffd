"""The command line: `kling-direct`."""

from __future__ import annotations

import logging
import secrets
import shutil
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .api.limits import Mode, Model, Orientation
from .errors import DownloadBroken, InputRefused, KlingDirectError, SettingsError, Violation
from .jobs.engine import Engine
from .jobs.job import Cuts, MotionControl, Order, Service, Spender, VideoFile, VideoFrames, VideoUrl
from .media.frame_folder import FrameFolder
from .media.types import ConformMode, Frames
from .settings import load_settings
from .terminal import (
    err,
    out,
    print_check,
    print_csv,
    print_error,
    print_json,
    print_table,
    progress_display,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .jobs.outcome import Outcome
    from .jobs.progress import Progress

app = typer.Typer(
    help="Kling Motion Control with your own account: paid once, kept for good.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

store_app = typer.Typer(help="Reference videos at the media host.", no_args_is_help=True)
app.add_typer(store_app, name="store")

HIGHEST_FPS = 240

ImageArgument = Annotated[Path, typer.Argument(help="Reference image: the character, JPEG or PNG.")]
VideoArgument = Annotated[str, typer.Argument(help="Reference video: the motion, a file or an https URL.")]
PromptOption = Annotated[str, typer.Option(help="Look, setting and camera, not the motion.")]
ModelOption = Annotated[str, typer.Option(help="kling-v2-6 or kling-v3.")]
ModeOption = Annotated[str, typer.Option(help="std is 720p, pro is 1080p.")]
OrientationOption = Annotated[
    str, typer.Option(help="video: face as in the video, 3 to 30 s; image: as in the picture, 3 to 10 s.")
]
SoundOption = Annotated[
    bool, typer.Option("--keep-sound/--no-keep-sound", help="Keep the reference video's sound.")
]
TakeOption = Annotated[int, typer.Option(help="0 is the first result; raise it to buy another on purpose.")]
ServiceOption = Annotated[Service, typer.Option(help="sandbox costs nothing; kling is billed.")]
ProfileOption = Annotated[str, typer.Option(help="Named credentials; empty uses the environment's.")]
ProjectOption = Annotated[str, typer.Option(help="Folder and label for the result.")]
ElementOption = Annotated[str, typer.Option(help="Id of an element that keeps the face stable.")]
WatermarkOption = Annotated[bool, typer.Option(help="Ask for a watermarked copy as well.")]
CallbackOption = Annotated[str, typer.Option(help="Where Kling reports changes; its origin must be allowed.")]
ExternalIdOption = Annotated[str, typer.Option(help="A task id of your own.")]
MaxUnitsOption = Annotated[
    str, typer.Option(help="Spend at most this many units; 0 leaves it to the server.")
]
WaitOption = Annotated[float, typer.Option(help="Minutes to wait after Kling accepted the task.")]
ConformOption = Annotated[
    ConformMode, typer.Option(help="How far inputs may be changed to fit: auto trims at most half a second.")
]
CutsOption = Annotated[Cuts, typer.Option(help="What to do with a clip whose shot changes.")]
FpsOption = Annotated[str, typer.Option(help="Frames per second, when VIDEO is a folder of frames.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def settings_for_all(
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Kling Motion Control with your own account: paid once, kept for good."""
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter(f"{log_level!r} is not one of debug, info, warning, error.")
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


@contextmanager
def engine_and_errors(*, as_json: bool = False, **overrides: Any) -> Iterator[Engine]:
    """Give an engine; every known error ends the program with one message and exit code 1."""
    engine: Engine | None = None
    try:
        engine = Engine(load_settings(**overrides))
        yield engine
    except KlingDirectError as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(1) from None
    finally:
        if engine is not None:
            engine.close()


@app.command()
def demo(
    out_path: Annotated[Path | None, typer.Option("-o", "--out", help="Copy the video here.")] = None,
    keep_sound: SoundOption = True,
    as_json: JsonOption = False,
) -> None:
    """Make a video now: bundled inputs, embedded sandbox, no key, no network, no cost."""
    from .demo import CHARACTER, MOTION  # noqa: PLC0415 - for this command alone

    order = Order(
        image=CHARACTER,
        video=VideoFile(MOTION),
        motion=MotionControl(keep_original_sound=keep_sound),
        project="demo",
        spender=_spender(),
    )
    with engine_and_errors(as_json=as_json, sandbox_url=None, poll_seconds=1.0) as engine:
        _run(engine, order, out_path, as_json=as_json)


@app.command()
def check(
    image: ImageArgument,
    video: VideoArgument,
    *,
    prompt: PromptOption = "",
    model: ModelOption = Model.V2_6.value,
    mode: ModeOption = Mode.STD.value,
    orientation: OrientationOption = Orientation.VIDEO.value,
    keep_sound: SoundOption = True,
    take: TakeOption = 0,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    project: ProjectOption = "",
    element_id: ElementOption = "",
    watermark: WatermarkOption = False,
    callback_url: CallbackOption = "",
    external_task_id: ExternalIdOption = "",
    max_units: MaxUnitsOption = "0",
    wait_minutes: WaitOption = 60.0,
    conform: ConformOption = ConformMode.AUTO,
    cuts: CutsOption = Cuts.REFUSE,
    fps: FpsOption = "",
    write: Annotated[Path | None, typer.Option(help="Leave what would be sent in this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List every broken limit, the seconds and the price. Spends nothing, sends nothing."""
    from .pages.payloads import checked_payload  # noqa: PLC0415 - for this command alone

    with engine_and_errors(as_json=as_json) as engine:
        order = Order(
            image=image,
            video=_video(video, fps),
            motion=MotionControl(prompt, model, mode, orientation, keep_sound, element_id, watermark, take),
            service=service,
            profile=profile,
            project=project,
            callback_url=callback_url,
            external_task_id=external_task_id,
            max_units=_units(max_units),
            wait_minutes=wait_minutes,
            conform=conform,
            cuts=cuts,
            spender=_spender(),
        )
        checked = engine.check(order, write).result()
    if as_json:
        print_json(checked_payload(checked))
    else:
        print_check(checked)
    if not checked.ok:
        raise typer.Exit(1)


@app.command()
def run(
    image: ImageArgument,
    video: VideoArgument,
    *,
    out_path: Annotated[Path | None, typer.Option("-o", "--out", help="Copy the video here.")] = None,
    prompt: PromptOption = "",
    model: ModelOption = Model.V2_6.value,
    mode: ModeOption = Mode.STD.value,
    orientation: OrientationOption = Orientation.VIDEO.value,
    keep_sound: SoundOption = True,
    take: TakeOption = 0,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    project: ProjectOption = "",
    element_id: ElementOption = "",
    watermark: WatermarkOption = False,
    callback_url: CallbackOption = "",
    external_task_id: ExternalIdOption = "",
    max_units: MaxUnitsOption = "0",
    wait_minutes: WaitOption = 60.0,
    conform: ConformOption = ConformMode.AUTO,
    cuts: CutsOption = Cuts.REFUSE,
    fps: FpsOption = "",
    again: Annotated[
        bool, typer.Option("--again", help="Try again after a failure that is likely to come back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the video, paying at most once however often this is run."""
    with engine_and_errors(as_json=as_json) as engine:
        order = Order(
            image=image,
            video=_video(video, fps),
            motion=MotionControl(prompt, model, mode, orientation, keep_sound, element_id, watermark, take),
            service=service,
            profile=profile,
            project=project,
            callback_url=callback_url,
            external_task_id=external_task_id,
            max_units=_units(max_units),
            wait_minutes=wait_minutes,
            conform=conform,
            cuts=cuts,
            again=again,
            spender=_spender(),
        )
        _run(engine, order, out_path, as_json=as_json)


@app.command()
def collect(
    name: Annotated[str, typer.Argument(metavar="JOB_OR_TASK_ID", help="Job key, task id or external id.")],
    from_file: Annotated[
        Path | None, typer.Option(help="Keep this file, which you fetched yourself, as the result.")
    ] = None,
    out_path: Annotated[Path | None, typer.Option("-o", "--out", help="Copy the video here.")] = None,
    wait_minutes: WaitOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Fetch the result of a task that exists. Pays nothing."""
    with engine_and_errors(as_json=as_json) as engine:
        if from_file is not None:
            outcome = engine.keep_file(name, from_file).result()
        else:
            outcome = _wait(
                lambda listen: engine.collect(name, listen, wait_minutes=wait_minutes), as_json=as_json
            )
        _deliver(outcome, out_path, as_json=as_json)


@app.command()
def jobs(
    since: Annotated[str, typer.Option(help="A date (2026-11-22) or a span (7d).")] = "",
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print everything as CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what the ledger knows, newest first."""
    from .jobs.history import history  # noqa: PLC0415 - for this command alone
    from .pages.payloads import JOB_COLUMNS, job_payload  # noqa: PLC0415 - likewise

    with engine_and_errors(as_json=as_json) as engine:
        rows = history(engine.ledger().database, since=_since(since), project=project)
        payloads = [job_payload(row) for row in rows]
        if as_json:
            print_json({"jobs": payloads})
        elif as_csv:
            print_csv(JOB_COLUMNS, payloads)
        else:
            shown = ("started_at", "state", "service", "project", "task_id", "units_charged", "result_path")
            print_table(shown, payloads)


@app.command()
def tasks(
    page: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    page_size: Annotated[int, typer.Option(min=1, max=500)] = 30,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the account's tasks, as Kling's list endpoint gives them."""
    from .pages.payloads import task_payload  # noqa: PLC0415 - for this command alone

    with engine_and_errors(as_json=as_json) as engine:
        answer = engine.list_tasks(service, profile, page, page_size).result()
    payloads = [task_payload(task) for task in answer.value]
    if as_json:
        print_json({"page": page, "page_size": page_size, "tasks": payloads})
    else:
        print_table(("created_at", "task_id", "status", "external_task_id", "units", "reason"), payloads)


@app.command()
def doctor(profile: ProfileOption = "", as_json: JsonOption = False) -> None:
    """Say what is configured (no values), where things are kept, and whether Kling answers."""
    from .doctor import examine  # noqa: PLC0415 - for this command alone

    with engine_and_errors(as_json=as_json) as engine:
        findings = list(examine(engine, profile))
    if as_json:
        print_json({item.subject: {"ok": item.ok, "text": item.text} for item in findings})
    else:
        for item in findings:
            out.print(f"{'ok  ' if item.ok else 'LOOK'} {item.subject}: {item.text}", markup=False)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def sandbox(context: typer.Context) -> None:
    """Run a sandbox of its own: `kling-direct sandbox --help` lists its options."""
    from .sandbox.__main__ import main as serve  # noqa: PLC0415 - brings the server

    raise typer.Exit(serve(context.args))


@app.command()
def gateway(as_json: JsonOption = False) -> None:
    """Serve reference videos to Kling through your tunnel or proxy (KLING_DIRECT_PUBLIC_URL)."""
    from .hosting.gateway_service import serve_gateway  # noqa: PLC0415 - brings the server

    with engine_and_errors(as_json=as_json) as engine:
        serve_gateway(engine.settings)


@store_app.command("clean")
def store_clean(
    older_than: Annotated[str, typer.Option(help="A span, such as 2d.")] = "2d", as_json: JsonOption = False
) -> None:
    """Remove reference videos of ours that no unfinished task needs from the media host."""
    with engine_and_errors(as_json=as_json) as engine:
        moment = _since(older_than) or datetime.now(UTC)
        removed, left = engine.clean_store(datetime.now(UTC) - moment).result()
    if as_json:
        print_json({"removed": removed, "left": left})
    else:
        out.print(f"{removed} removed, {left} left.")


def main() -> None:
    """Run the command line."""
    app(prog_name="kling-direct")


def _run(engine: Engine, order: Order, out_path: Path | None, *, as_json: bool) -> None:
    if out_path is not None and not out_path.absolute().parent.is_dir():
        raise SettingsError(f"There is no folder {out_path.absolute().parent} to write {out_path.name} into.")
    outcome = _wait(lambda listen: engine.run(order, listen), as_json=as_json)
    _deliver(outcome, out_path, as_json=as_json)


def _wait(start: Callable[[Callable[[Progress], None]], Any], *, as_json: bool) -> Outcome:
    last: list[Progress] = []
    with progress_display(quiet=as_json) as show:

        def listen(progress: Progress) -> None:
            last[:] = [progress]
            show(progress)

        future = start(listen)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            task_id = last[0].task_id if last else None
            if task_id:
                err.print(
                    f"Stopped waiting. Task {task_id} goes on at Kling; run the same again to collect it."
                )
            else:
                err.print("Stopped. Run the same again to go on.")
            raise typer.Exit(130) from None


def _deliver(outcome: Outcome, out_path: Path | None, *, as_json: bool) -> None:
    from .pages.payloads import outcome_payload  # noqa: PLC0415 - keeps --help quick

    payload = outcome_payload(outcome)
    if out_path is not None:
        try:
            shutil.copyfile(outcome.path, out_path)
        except OSError as error:
            raise DownloadBroken(
                f"The result could not be copied to {out_path}: {error.strerror}.",
                hint=f"It is kept as {outcome.path}.",
                task_id=outcome.attempt.task_id,
            ) from None
        payload["path"] = str(out_path)
        payload["kept_path"] = str(outcome.path)
    if as_json:
        print_json(payload)
    else:
        out.print(outcome.report(), markup=False)
        out.print(payload["path"], markup=False)


def _video(text: str, fps: str) -> VideoFile | VideoFrames | VideoUrl:
    if "://" in text:
        return VideoUrl(text)
    path = Path(text)
    if not path.is_dir():
        return VideoFile(path)
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= HIGHEST_FPS:
        message = f"{path.name} is a folder of frames: give --fps, 1 to {HIGHEST_FPS} (it is {fps[:20]!r})."
        raise InputRefused([Violation("video", "video.fps", message)])
    return VideoFrames(Frames(FrameFolder.open(path), rate))


def _spender() -> Spender:
    """Return this invocation as one prompt."""
    return Spender(f"cli-{secrets.token_hex(8)}", "cli")


def _units(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        message = f"max_units is {text[:40]!r}; it is a number of units, 0 for no limit of its own."
        raise InputRefused([Violation("max_units", "max_units.range", message)]) from None


def _since(text: str) -> datetime | None:
    if not text:
        return None
    try:
        if text.endswith("d"):
            return datetime.now(UTC) - timedelta(days=float(text[:-1]))
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise SettingsError(f"--since is {text!r}; give a date (2026-11-22) or a span (7d).") from None


if __name__ == "__main__":
    main()
