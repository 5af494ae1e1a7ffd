"""Jobs: lists, pictures, collecting, forgetting."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, create_model

from ..api.limits import cash_of
from ..api.motion_control import MOTION_SETTINGS
from ..api.service_codes import refusal_advice
from ..errors import KlingOnceError, ResultGone
from ..jobs.progress import Stage  # noqa: TC001 - pydantic reads it from a model of ours
from ..jobs.recovery import forget as forget_job
from ..ledger.attempts import AttemptState
from ..ledger.decision import (
    Serve,
    input_advice,
    next_step,
    retry_hint,
)
from ..ledger.queries import Page, Shown, usual_seconds
from ..order import Kind, Service, service_of
from ..results.pictures import picture_path, poster_of
from ..settings import has_desktop
from .answers import (
    Answer,
    AnyFailure,
    Moment,
    Said,
    Told,
    failure_of,
)
from .endpoint import (
    Call,
    Given,
    Jpeg,
    Mp4,
    Nothing,
    Who,
    WithCode,
    endpoint,
)

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from ..jobs.engine import Engine
    from ..jobs.outcome import Outcome
    from ..jobs.progress import Progress
    from ..ledger.attempts import Attempt

    Row = dict[str, Any]

logger = logging.getLogger(__name__)

TROUBLES_KEPT: Final = 200
GONE_HINT: Final = "Only a new take makes it again, and is paid again."


class Troubles:
    """Why collecting a job ended without a video: the ledger holds only what the vendor said."""

    def __init__(self) -> None:
        self._found: dict[str, KlingOnceError] = {}

    def of(self, job_key: str) -> AnyFailure | None:
        """Return why the last collecting of a job ended without a video."""
        error = self._found.get(job_key)
        return failure_of(error) if error else None

    def forget(self, job_key: str) -> None:
        """Forget a job's trouble, since it is collected again."""
        self._found.pop(job_key, None)

    def note_end(self, engine: Engine, job_key: str, ended: Future[Outcome]) -> None:
        """Keep why collecting a job ended without a video, and tell the page; for the engine's thread."""
        error = None if ended.cancelled() else ended.exception()
        if isinstance(error, KlingOnceError):
            while len(self._found) >= TROUBLES_KEPT:
                self._found.pop(next(iter(self._found)), None)
            self._found[job_key] = error
            engine.watchers.tell(job_key, "ended")
        elif error is not None:
            logger.error("Collecting job %s failed.", job_key[:10], exc_info=error)


class JobPath(Given):
    """One job."""

    job_key: str = Field(pattern=r"^[a-z][0-9][0-9a-f]{64}$")


class JobsQuery(Given):
    """A page of the ledger's jobs."""

    offset: int = Field(0, ge=0, le=1_000_000)
    limit: int = Field(100, ge=1, le=500)
    search: str = Field("", max_length=200)
    shown: Shown = Shown.ALL


class ShownFile(Answer):
    """A file as ComfyUI names it."""

    filename: str
    subfolder: str
    type: Literal["output"] = "output"


class JobAnswer(Answer):
    """A job with its newest attempt."""

    job_key: str
    service: Service
    realm: str
    project: str
    profile: str
    kind: Kind
    element_name: str
    """Of the element that it makes; empty for a video."""
    made_element_id: str | None
    """Digits; null until the element is made."""
    model: str
    mode: str
    take: int
    prompt: str
    image_name: str
    video_name: str
    adopted: bool
    """A task of the account that the ledger did not order."""
    number: int
    """Of the attempt."""
    state: AttemptState
    """An intent that was sent may have become a task: it is `unknown` here."""
    task_id: str | None
    external_id: str
    currency: str | None
    reason: str | None
    seconds: float | None
    units_estimated: float | None
    """Null for an intent that was never sent and that nobody works on: it costs nothing."""
    units_charged: float | None
    cash_charged: float | None
    money: float | None
    """What it was charged, else may cost; by the list price where only units are known."""
    money_currency: str | None
    """`USD`, `CNY`, or what the charge itself says, such as that a test balance paid it."""
    result_seconds: float | None
    started_at: Moment
    submitted_at: Moment | None
    ended_at: Moment | None
    stage: Stage | None
    """Where it stands in this process."""
    done: int
    total: int
    """Steps of the stage, such as bytes; 0 when unknown."""
    usual_seconds: float | None
    """How long such a job takes, while it is under way and where there is a past to learn from."""
    advice: str | None
    """What to do about a job that ended without a video."""
    ending: list[Said]
    """Reason and advice in pieces."""
    trouble: AnyFailure | None
    """Why the last collecting ended without a video."""
    file: ShownFile | None
    """The kept video, where ComfyUI can show it."""
    has_file: bool
    has_picture: bool
    has_workflow: bool


class JobList(Answer):
    """A page of the ledger's jobs, newest first."""

    total: int
    offset: int
    jobs: list[JobAnswer]


class JobAttempt(Answer):
    """One attempt of a job."""

    number: int
    state: AttemptState
    task_id: str | None
    external_id: str
    started_at: Moment = Field(validation_alias="created_at")
    units_charged: float | None
    reason: str | None


_SETTINGS: dict[str, Any] = {
    item.name: (type(item.default), ...)
    for item in MOTION_SETTINGS
    if item.name not in JobAnswer.model_fields
}
JobDetail = create_model(
    "JobDetail",
    __base__=JobAnswer,
    __doc__="A job with all its settings and attempts.",
    __module__=__name__,
    attempts=(list[JobAttempt], ...),
    **_SETTINGS,
)


class JobWorkflow(Answer):
    """The newest workflow that ordered a job, as its editor saved it."""

    workflow: Any


class Collecting(Answer):
    """A job whose collecting has begun."""

    job_key: str
    collecting: Literal[True] = True


class ForgetBody(WithCode):
    """Hide a job."""

    delete_file: bool = Field(default=False, strict=True)


class Forgotten(Answer):
    """A job that is hidden."""

    job_key: str
    deleted: list[str]
    """Files, relative to the results folder."""


@endpoint("GET", "/jobs", query=JobsQuery, answer=JobList)
async def jobs(call: Call[Nothing, JobsQuery]) -> JobList:
    """List the ledger's jobs, newest first, without links."""
    wanted = call.given
    page = Page(wanted.offset, wanted.limit, wanted.search, wanted.shown)
    total, found = await _listed(call, page)
    return JobList(total=total, offset=wanted.offset, jobs=[JobAnswer.model_validate(job) for job in found])


@endpoint("GET", "/jobs/{job_key}", params=JobPath, answer=JobDetail)
async def job(call: Call[JobPath, Nothing]) -> JobAnswer:
    """Show one job with all its attempts, without links."""
    key = call.params.job_key
    _total, found = await _listed(call, Page(job_key=key))
    if not found:
        raise _unknown(key)
    return JobDetail.model_validate(found[0] | {"attempts": await _attempts(call)})


@endpoint("GET", "/jobs/{job_key}/workflow", params=JobPath, answer=JobWorkflow)
async def job_workflow(call: Call[JobPath, Nothing]) -> JobWorkflow:
    """Return the workflow that ordered the job."""
    workflow = await (await call.engine.ledger()).workflow_of(call.params.job_key)
    if workflow is None:
        raise ResultGone("No workflow is known for this job.")
    return JobWorkflow(workflow=workflow)


@endpoint("GET", "/jobs/{job_key}/picture", params=JobPath, answer=Jpeg)
async def job_picture(call: Call[JobPath, Nothing]) -> Jpeg:
    """Return the reference image, small."""
    path = picture_path(call.engine.settings.home, call.params.job_key)
    if not await asyncio.to_thread(path.is_file):
        raise ResultGone("There is no picture of this job.")
    return Jpeg(path)


@endpoint("GET", "/jobs/{job_key}/poster", params=JobPath, answer=Jpeg)
async def job_poster(call: Call[JobPath, Nothing]) -> Jpeg:
    """Return the first frame of the kept video, small."""
    return Jpeg(await asyncio.to_thread(poster_of, await _video_path(call)))


@endpoint("GET", "/jobs/{job_key}/video", params=JobPath, answer=Mp4)
async def job_video(call: Call[JobPath, Nothing]) -> Mp4:
    """Return the kept video."""
    return Mp4(await _video_path(call))


@endpoint("POST", "/jobs/{job_key}/collect", params=JobPath, answer=Collecting, status=HTTPStatus.ACCEPTED)
async def collect(call: Call[JobPath, Nothing]) -> Collecting:
    """Begin to fetch the result of a task that was paid; the page is told how it goes."""
    key, engine, troubles = call.params.job_key, call.engine, call.app.troubles
    known = await _attempts(call)
    if not known:
        raise _unknown(key)
    step = next_step(known, again=False)
    if not (isinstance(step, Serve) and await asyncio.to_thread(engine.store.holds, step.attempt)):
        call.require_service(service_of(known[-1].realm))
    troubles.forget(key)
    engine.collect(key).add_done_callback(partial(troubles.note_end, engine, key))
    return Collecting(job_key=key)


@endpoint("POST", "/jobs/{job_key}/forget", params=JobPath, body=ForgetBody, answer=Forgotten, who=Who.LOCAL)
async def forget(call: Call[JobPath, ForgetBody]) -> Forgotten:
    """Hide a job."""
    key, engine = call.params.job_key, call.engine
    ledger, delete_file = await engine.ledger(), call.given.delete_file
    deleted = await forget_job(ledger, engine.store, key, delete_file=delete_file)
    engine.watchers.tell(key, "forgotten")
    return Forgotten(job_key=key, deleted=deleted)


class OpenFolderBody(WithCode):
    """No fields beside the code."""


class OpenedFolder(Answer):
    """The folder of results."""

    path: str
    opened: bool
    """The server's own desktop shows it."""


@endpoint("POST", "/results/open", body=OpenFolderBody, answer=OpenedFolder, who=Who.LOCAL)
async def open_results(call: Call[Nothing, OpenFolderBody]) -> OpenedFolder:
    """Show the folder of results in the file manager of the server's desktop."""
    folder = call.engine.store.root
    return OpenedFolder(path=str(folder), opened=await asyncio.to_thread(_show, folder))


def _show(folder: Path) -> bool:
    """Show a folder in the desktop's file manager; blocking."""
    import webbrowser  # noqa: PLC0415 - for this alone

    if not has_desktop():
        return False  # else a browser for terminals would take the server's own
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return webbrowser.open(folder.absolute().as_uri())
    except (OSError, webbrowser.Error):
        return False


async def _attempts(call: Call[JobPath, Any]) -> list[Attempt]:
    return await (await call.engine.ledger()).attempts_of(call.params.job_key)


async def _listed(call: Call[Any, Any], page: Page) -> tuple[int, list[Row]]:
    """Return how many jobs there are, and the fields of those on a page."""
    ledger, under_way = await call.engine.ledger(), call.engine.under_way()
    total, rows = await ledger.list_jobs(page)
    kinds = {_kind(row) for row in rows if row["job_key"] in under_way}
    paces = {kind: await ledger.pace_of(*kind) for kind in kinds}

    def add_all() -> list[Row]:
        return [_job(call, row, under_way.get(row["job_key"]), paces.get(_kind(row))) for row in rows]

    return total, await asyncio.to_thread(add_all)


def _kind(row: Row) -> tuple[str, str, str]:
    return row["service"], row["model"], row["mode"]


def _job(call: Call[Any, Any], row: Row, progress: Progress | None, pace: float | None) -> Row:
    """Return a job's row with what else is known of it here; blocking."""
    key, store = row["job_key"], call.engine.store
    is_here = row["state"] == "kept" and store.has(row["result_path"], row["result_size_bytes"])
    is_done = is_here or (row["kind"] == Kind.ELEMENT and row["state"] == "kept")
    advice = _advice(row)
    known = {
        "stage": progress.stage if progress else None,
        "done": progress.done if progress else 0,
        "total": progress.total if progress else 0,
        "usual_seconds": usual_seconds(pace, row["seconds"]) if progress else None,
        "advice": advice,
        "ending": Told.of(" ".join(text for text in (row["reason"], advice) if text)).said,
        "trouble": None if is_done or progress else call.app.troubles.of(key),
        "file": _shown(store.path(row["result_path"]), call.app.host.output_folder()) if is_here else None,
        "has_file": is_here,
        "has_picture": picture_path(call.engine.settings.home, key).is_file(),
    }
    if row["state"] == "intent" and row["posted_at"] is not None:
        known["state"] = AttemptState.UNKNOWN
    elif row["state"] == "intent" and progress is None:
        known["units_estimated"] = None
    return row | known | _money(row | known)


def _money(row: Row) -> Row:
    """Return what a job costs, in money; of units and another currency, the currency alone."""
    cash, units = row["cash_charged"], row["units_charged"]
    if cash is None and units is None:
        units = row["units_estimated"]
    money, currency = (None, None) if units is None else cash_of(units, china=row["realm"] == "china")
    if cash or (cash is not None and money is None):
        cash_currency = row["currency"] or "USD"
        is_alike = money is not None and currency == cash_currency
        money, currency = cash + money if is_alike else cash, cash_currency
    return {"money": money, "money_currency": currency}


def _advice(row: Row) -> str | None:
    if row["state"] == "rejected":
        return refusal_advice(row["reason_code"], row["reason"])
    if row["made_element_id"]:
        return None
    if row["state"] == "failed":
        charged = row["units_charged"] or row["cash_charged"] or row["unread_charge"]
        return retry_hint(row["reason"]) if input_advice(row["reason"]) or charged else "Run it again."
    return GONE_HINT if row["state"] == "expired" else None


def _shown(path: Path, output_folder: Path) -> ShownFile | None:
    """Return how ComfyUI names a file in its output folder; None for one that lies elsewhere."""
    try:
        inside = path.resolve().relative_to(output_folder.resolve())
    except ValueError:
        return None
    folder = inside.parent.as_posix()
    return ShownFile(filename=inside.name, subfolder="" if folder == "." else folder)


async def _video_path(call: Call[JobPath, Nothing]) -> Path:
    """Return the newest kept video of a job that is here; never a path outside of the results folder."""
    store = call.engine.store
    names = [one.result_path for one in reversed(await _attempts(call)) if one.result_path]

    def find() -> Path | None:
        root = store.root.resolve()
        paths = (store.path(name).resolve() for name in names)
        return next((path for path in paths if path.is_relative_to(root) and path.is_file()), None)

    if path := await asyncio.to_thread(find):
        return path
    raise ResultGone("The video is not here.", hint="Collect the job to fetch it again, while Kling has it.")


def _unknown(job_key: str) -> ResultGone:
    return ResultGone(f"The ledger knows no job {job_key[:10]}.")
