"""A node before it runs: its price, and what would keep it from running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, RootModel

from ..api.limits import (
    MODELS,
    VIDEO_MAX_SECONDS,
    Mode,
    MotionModel,
    Orientation,
    Price,
    cash_of,
    known,
    price,
)
from ..errors import (
    BudgetReached,
    CredentialsError,
    InputRefused,
    KlingOnceError,
    SubmissionsHeld,
    Violation,
)
from ..jobs.services import has_host
from ..jobs.violations import clip_bounds, order_notes, order_violations
from ..ledger.decision import Serve, next_step
from ..media.bounds import clock
from ..media.probe import probe_clip
from ..media.split import fewest_parts
from ..order import (
    MotionControl,
    Order,
    Service,
    VideoFile,
    VideoUrl,
    realm_of,
)
from .answers import Answer, BrokenRule, Moment, Told
from .endpoint import (
    Call,
    Given,
    Nothing,
    endpoint,
)
from .graph import NodeReading, SplitReading, read_node, signature

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from ..jobs.check import Checked
    from ..jobs.engine import Engine
    from ..ledger.attempts import Attempt

GRAPH_MAX_BYTES: Final = 4 * 1024 * 1024
RATE_DECIDING: Final = frozenset({"model", "mode", "service", "profile"})
"""Those that the price of a second hangs on."""
WIRED_FIELDS: Final = {"motion_source.url": "video"}
"""What a violation calls a widget, where that is not the widget's own name."""
SHORTER_SECONDS: Final = 0.05
"""A used part that is shorter than the clip by less than this is the whole clip to people."""
MEASURED_AT_MOST: Final = 64


def _whole_nodes(graph: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name, node in graph.items():
        if not isinstance(node.get("class_type", ""), str) or not isinstance(node.get("inputs", {}), dict):
            raise ValueError(f"node {name[:20]!r} needs a text as class_type and an object as inputs")  # noqa: TRY004 - pydantic hears ValueError alone
    return graph


Graph = Annotated[dict[str, dict[str, Any]], AfterValidator(_whole_nodes)]


class NodeBody(Given):
    """A node of a graph that is to be priced and checked before it runs."""

    node_id: str = Field(min_length=1, max_length=100)
    prompt: Graph
    """The graph in ComfyUI's API format."""


class Rate(Answer):
    """The price of a second."""

    units: float
    cash: float
    currency: Literal["USD", "CNY"]


class NodePrice(Rate):
    """The price of a run."""

    seconds: float


class UsedPart(Answer):
    """The part of the clip that is sent, in seconds, where that is not the whole clip."""

    start: float
    end: float
    of: float


class KeptResult(Answer):
    """What a graph has made: its newest video."""

    task_id: str | None
    units: float | None
    cash: float | None
    currency: str | None
    ended_at: Moment | None
    path: str
    """Below ComfyUI's output folder where it lies there, else below the results folder."""


class OtherNode(Answer):
    """A node that orders nothing."""

    known: Literal[False] = False


class OrderingNode(Answer):
    """A node that orders a video."""

    known: Literal[True] = True
    service: Service
    wired: list[str]
    """Widgets whose value only the run will know."""
    paid: bool
    """Everything that this very graph has ordered is kept here: running it costs nothing."""
    kept: KeptResult | None = None
    """Only where it is paid."""
    rate: Rate | None = None
    """Null for a model or mode that has none, or that only the run will know."""
    price: NodePrice | None = None
    """Null while the clip is not known."""
    used: UsedPart | None = None
    violations: list[BrokenRule] = Field(default=[])
    notes: list[Told] = Field(default=[])
    report: list[Told] = Field(default=[])
    """What would be done to the inputs."""
    obstacles: list[BrokenRule] = Field(default=[])
    """What else keeps it from running. The rule is `key`, `hold`, `limit`, or `ledger`."""
    trouble: Told | None = None
    """Why no more could be found out."""


class NodeAnswer(RootModel[OrderingNode | OtherNode]):
    """What running a node would cost, and what keeps it from running."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A picture and a clip as they would be sent."""

    checked: Checked
    clip_seconds: float | None
    """Of the whole clip; None where it cannot be read."""


class Measurements:
    """The media that were measured lately, and those that are being measured.

    A clip may take long to conform. Whoever asks for it meanwhile, or after a change of a setting that does
    not touch it, waits for the same measurement; a request that goes away ends none.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[object, ...], asyncio.Task[Measured]] = {}

    async def of(self, engine: Engine, reading: NodeReading, image: Path, clip: Path) -> Measured:
        """Measure and conform a node's media, unless that is done or under way.

        Raises:
            KlingOnceError: they cannot be measured; the next request tries again.
        """
        order = Order(
            image=image,
            video=VideoFile(clip),
            motion=MotionControl(character_orientation=reading.orientation.value),
            conform=reading.order.conform,
            cuts=reading.order.cuts,
        )
        states = await asyncio.to_thread(lambda: (_file_state(image), _file_state(clip)))
        key = (image, clip, *states, reading.orientation, order.conform, order.cuts)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(_measure(engine, order, clip))
            task.add_done_callback(lambda done: self._ended(key, done))
            while len(self._tasks) > MEASURED_AT_MOST:
                del self._tasks[next(iter(self._tasks))]
        return await asyncio.shield(task)

    def _ended(self, key: tuple[object, ...], task: asyncio.Task[Measured]) -> None:
        if (task.cancelled() or task.exception()) and self._tasks.get(key) is task:
            del self._tasks[key]


async def _measure(engine: Engine, order: Order, clip: Path) -> Measured:
    checked = await asyncio.wrap_future(engine.check(order))
    return Measured(checked, await asyncio.to_thread(_clip_seconds, clip))


def _file_state(path: Path) -> tuple[int, int]:
    """Return what changes with a file's content; blocking."""
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size


def _clip_seconds(clip: Path) -> float | None:
    try:
        return probe_clip(clip).duration_seconds
    except KlingOnceError:
        return None


@endpoint("POST", "/node", body=NodeBody, answer=NodeAnswer, max_bytes=GRAPH_MAX_BYTES)
async def node(call: Call[Nothing, NodeBody]) -> NodeAnswer:
    """Tell what running a node would cost, and what keeps it from running; spends nothing."""
    prompt, node_id = call.given.prompt, call.given.node_id
    reading = read_node(prompt, node_id)
    if reading is None:
        return NodeAnswer(OtherNode())
    order, kept, found = reading.order, None, {}
    try:
        origin = await asyncio.to_thread(call.engine.accounts.origin, order.service, order.profile)
        graph = await asyncio.to_thread(signature, prompt, node_id, call.app.host.input_moment)
        realm = realm_of(order.service, origin)
        kept = await _kept(call, graph, realm)
        found = await _findings(call, reading, origin, china=realm == "china", is_paid=kept is not None)
    except CredentialsError as error:
        found = {"obstacles": [_obstacle(error)]}
    except KlingOnceError as error:
        found = {"trouble": Told.of(str(error))}
    known = OrderingNode.model_validate(
        {"service": order.service, "wired": reading.wired, "paid": kept is not None, "kept": kept} | found
    )
    return NodeAnswer(known)


async def _kept(call: Call[Any, Any], signature: str, realm: str) -> KeptResult | None:
    """Return the newest video of a graph, if all that it has ordered of a realm is kept and here."""
    ledger, store = await call.engine.ledger(), call.engine.store
    ordered = await ledger.ordered_jobs(signature)
    found: list[Attempt] = []
    for job_key in (job_key for job_key, of in ordered.items() if of in {None, realm}):
        step = next_step(await ledger.attempts_of(job_key), again=False)
        if not isinstance(step, Serve) or not await asyncio.to_thread(store.holds, step.attempt):
            return None
        found.append(step.attempt)
    if not found:
        return None
    newest = max(found, key=lambda one: one.attempt_id)
    path, output = store.path(newest.result_path or ""), call.app.host.output_folder()
    is_shown = path.is_relative_to(output)
    shown = f"output/{path.relative_to(output).as_posix()}" if is_shown else newest.result_path
    charge = {"units": newest.units_charged, "cash": newest.cash_charged, "currency": newest.currency}
    return KeptResult.model_validate(
        charge | {"task_id": newest.task_id, "ended_at": newest.ended_at, "path": shown or ""}
    )


async def _findings(
    call: Call[Nothing, NodeBody], reading: NodeReading, origin: str, *, china: bool, is_paid: bool
) -> dict[str, Any]:
    """Return the fields of `OrderingNode` that settings, media and limits decide."""
    engine, order = call.engine, reading.order
    image, clip = await asyncio.to_thread(_files, call, reading)
    video = VideoUrl(reading.url) if reading.source == "url" else VideoFile(clip or Path())
    order = replace(order, image=image, video=video)
    broken = order_violations(
        order, origin, engine.settings, has_host=has_host(engine.settings, order.service)
    )
    violations = [
        *(
            Violation(name, f"{name}.wired", f"Nothing is wired to {name.rpartition('.')[2]}.")
            for name in reading.bare
        ),
        *_told(broken, reading.wired),
    ]
    found: dict[str, Any] = {"rate": _rate(reading, china=china), "notes": _told_all(order_notes(order))}
    if reading.split and not is_paid:
        try:
            found["notes"].append(Told.of(await _parts_note(call, reading, reading.split, china=china)))
        except InputRefused as error:
            found["trouble"] = Told.of(str(error))
    cost = None
    if reading.source == "url":
        cost = _price_at_most(reading, china=china)
    elif image is not None and clip is not None:
        measured = await call.app.measurements.of(engine, reading, image, clip)
        checked = measured.checked
        violations += _told(checked.violations)
        found |= {"report": _told_all(checked.report), "used": _used(measured)}
        cost = _price(reading, checked.price.seconds, china=china) if checked.price else None
    if not is_paid:
        in_the_way = await asyncio.wrap_future(engine.obstacles(order, cost))
        found["obstacles"] = [_obstacle(error) for error in in_the_way]
    return found | {"violations": violations, "price": cost and NodePrice.model_validate(cost)}


def _obstacle(error: KlingOnceError) -> Violation:
    """Return an error as a rule that is broken, whose name tells what can be done about it."""
    kinds = {CredentialsError: "key", SubmissionsHeld: "hold", BudgetReached: "limit"}
    rule = next((rule for kind, rule in kinds.items() if isinstance(error, kind)), "ledger")
    return Violation(rule, rule, str(error))


def _files(call: Call[Nothing, NodeBody], reading: NodeReading) -> tuple[Path | None, Path | None]:
    if not reading.has_files or reading.source != "video":
        return None, None
    host = call.app.host
    return host.input_file(reading.image_file), host.input_file(reading.video_file)


def _told(broken: Iterable[Violation], wired: Iterable[str] = ()) -> list[Violation]:
    """Return violations, save those of widgets whose value only the run will know."""
    unknown = {WIRED_FIELDS.get(name, name) for name in wired}
    return [one for one in broken if one.field not in unknown]


def _told_all(lines: Iterable[str]) -> list[Told]:
    return [Told.of(line) for line in lines]


def _rate(reading: NodeReading, *, china: bool) -> dict[str, Any] | None:
    models = _models(reading)
    if models is None or not RATE_DECIDING.isdisjoint(reading.wired):
        return None
    model, mode = models
    units = model.units_per_second[mode]
    cash, currency = cash_of(units, china=china)
    return {"units": units, "cash": cash, "currency": currency}


def _price_at_most(reading: NodeReading, *, china: bool) -> Price | None:
    """Return the price at the orientation's maximum: all that is known of an address."""
    if not {*RATE_DECIDING, "character_orientation"}.isdisjoint(reading.wired):
        return None
    orientation = known(Orientation, reading.order.motion.character_orientation)
    return _price(reading, VIDEO_MAX_SECONDS[orientation], china=china) if orientation else None


def _price(reading: NodeReading, seconds: Decimal | float, *, china: bool) -> Price | None:
    models = _models(reading)
    return price(*models, seconds, china=china) if models else None


async def _parts_note(
    call: Call[Nothing, NodeBody], reading: NodeReading, split: SplitReading, *, china: bool
) -> str:
    """Return how often a node runs whose clip comes in parts, and what all cost as far as is known.

    Raises:
        InputRefused: The numbers of the split leave no room for parts.
    """
    clip = await asyncio.to_thread(call.app.host.input_file, split.video_file) if split.video_file else None
    seconds = await asyncio.to_thread(_clip_seconds, clip) if clip else None
    cost = None
    if seconds and RATE_DECIDING.isdisjoint(reading.wired):
        cost = _price(reading, seconds, china=china)
    if not seconds or cost is None or split.most_seconds is None or split.overlap_seconds is None:
        return "Runs once for each part of Kling Once Split Video; each is paid by itself."
    least = fewest_parts(
        seconds,
        clip_bounds(split.orientation),
        most_seconds=split.most_seconds,
        overlap_seconds=split.overlap_seconds,
    )
    parts = f"Runs once for each part of Kling Once Split Video: at least {least} for {clock(seconds)}."
    units, cash = (f"{amount.normalize():f}" for amount in (cost.units, cost.cash))
    sum_of_all = f"On Kling all of them cost about {units} units ({cash} {cost.currency})."
    return " ".join([parts, "What they show twice is paid twice." if split.overlap_seconds else sum_of_all])


def _used(measured: Measured) -> dict[str, Any] | None:
    price, whole = measured.checked.price, measured.clip_seconds
    if price is None or not whole or whole - float(price.seconds) <= SHORTER_SECONDS:
        return None
    return {"start": 0.0, "end": price.seconds, "of": round(whole, 3)}


def _models(reading: NodeReading) -> tuple[MotionModel, Mode] | None:
    motion = reading.order.motion
    model, mode = MODELS.get(motion.model), known(Mode, motion.mode)
    return (model, mode) if model and mode else None
