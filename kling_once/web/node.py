"""A node of a graph before it runs: what can be read from its API prompt, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from ..api.limits import (
    VIDEO_MAX_SECONDS,
    Mode,
    Model,
    Orientation,
)
from ..api.prices import CNY_PER_UNIT, UNITS_PER_SECOND, USD_PER_UNIT
from ..api.prices import price as price_of
from ..media.types import ConformMode
from ..order import (
    USUAL_WAIT_MINUTES,
    Cuts,
    MotionControl,
    Service,
)
from .payloads import number_of, violation_payloads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..errors import Violation
    from ..jobs.check import Checked

NODES: Final = frozenset(
    {
        "KlingOnce_MotionControl",
        "KlingOnce_SubmitMotionControl",
        "KlingOnce_CheckMotionControl",
    }
)
"""Those that describe an order."""
LINK_PARTS: Final = 2
DECIDING: Final = (
    "model",
    "mode",
    "character_orientation",
    "service",
    "profile",
    "element_id",
    "conform",
    "cuts",
    "motion_source.url",
    "motion_source.fps",
)
"""Widgets that price and limits hang on."""
RATE_DECIDING: Final = frozenset({"model", "mode", "service", "profile"})
"""Those that the price of a second hangs on."""
WIRED_FIELDS: Final = {"motion_source.url": "video"}
"""What a violation calls a widget, where that is not the widget's own name."""
MANY_MINUTES: Final = 1e9
SHORTER_SECONDS: Final = 0.05
"""A used part that is shorter than the clip by less than this is the whole clip to people."""


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What the widgets of a node say. A widget that is wired has its default here, and is named."""

    motion: MotionControl
    service: Service
    profile: str
    conform: ConformMode
    cuts: Cuts
    max_units: Decimal
    wait_minutes: float
    external_task_id: str
    callback_url: str
    project: str
    source: str
    """`video`, `frames`, `url`, or empty."""
    url: str
    image_file: str
    """As LoadImage names it; empty where the picture comes from elsewhere."""
    video_file: str
    """As LoadVideo names it; likewise."""
    wired: tuple[str, ...]
    """Widgets whose value only the run will know."""

    @property
    def has_files(self) -> bool:
        """Tell whether picture and clip come straight from loaders."""
        return bool(self.image_file and self.video_file) and not self.wired


def read_node(prompt: dict[str, Any], node_id: str) -> NodeReading | None:
    """Return what a node of an API prompt says, None for a node that orders nothing."""
    node = prompt.get(node_id)
    if node is None or node.get("class_type") not in NODES:
        return None
    inputs = node.get("inputs", {})
    usual = MotionControl()
    wired = tuple(name for name in DECIDING if isinstance(inputs.get(name), list))

    def text(name: str, default: str = "") -> str:
        value = inputs.get(name)
        return value if isinstance(value, str) else default

    def flag(name: str, *, default: bool) -> bool:
        value = inputs.get(name)
        return value if isinstance(value, bool) else default

    take = inputs.get("take")
    motion = MotionControl(
        prompt=text("prompt"),
        model=text("model", usual.model),
        mode=text("mode", usual.mode),
        character_orientation=text("character_orientation", usual.character_orientation),
        keep_original_sound=flag("keep_original_sound", default=True),
        element_id=text("element_id").strip(),
        watermark=flag("watermark", default=False),
        take=take if isinstance(take, int) and not isinstance(take, bool) else 0,
    )
    return NodeReading(
        motion=motion,
        service=_choice(Service, text("service"), Service.SANDBOX),
        profile=text("profile"),
        conform=_choice(ConformMode, text("conform"), ConformMode.AUTO),
        cuts=_choice(Cuts, text("cuts"), Cuts.REFUSE),
        max_units=_amount(inputs.get("max_units")),
        wait_minutes=_minutes(inputs.get("wait_minutes")),
        external_task_id=text("external_task_id"),
        callback_url=text("callback_url"),
        project=text("project"),
        source=text("motion_source"),
        url=text("motion_source.url").strip(),
        image_file=_loaded(prompt, inputs.get("image"), "LoadImage", "image"),
        video_file=_loaded(prompt, inputs.get("motion_source.video"), "LoadVideo", "file"),
        wired=wired,
    )


def orientation_of(reading: NodeReading) -> Orientation:
    """Return what a clip is measured against; an unknown orientation is a violation of its own."""
    return _known(Orientation, reading.motion.character_orientation) or Orientation.VIDEO


def rate_payload(reading: NodeReading, *, china: bool) -> dict[str, Any] | None:
    """Return the price of a second, None for a model or mode that has none or that only the run knows."""
    model, mode = _known(Model, reading.motion.model), _known(Mode, reading.motion.mode)
    if model is None or mode is None or not RATE_DECIDING.isdisjoint(reading.wired):
        return None
    units = UNITS_PER_SECOND[model, mode]
    return {
        "units": number_of(units),
        "cash": number_of(units * (CNY_PER_UNIT if china else USD_PER_UNIT)),
        "currency": "CNY" if china else "USD",
    }


def most_payload(reading: NodeReading, *, china: bool) -> dict[str, Any] | None:
    """Return the price at the orientation's maximum: all that is known of an address."""
    if not {*RATE_DECIDING, "character_orientation"}.isdisjoint(reading.wired):
        return None
    orientation = _known(Orientation, reading.motion.character_orientation)
    return _price(reading, VIDEO_MAX_SECONDS[orientation], china=china) if orientation else None


def measured_payload(
    reading: NodeReading, checked: Checked, clip_seconds: float | None, *, china: bool
) -> dict[str, Any]:
    """Return what the node's files come to; `clip_seconds` is the length of the whole clip."""
    price = used = None
    if checked.price is not None:
        seconds = checked.price.seconds
        price = _price(reading, seconds, china=china)
        if clip_seconds and clip_seconds - float(seconds) > SHORTER_SECONDS:
            used = {"start": 0.0, "end": number_of(seconds), "of": round(clip_seconds, 3)}
    return {
        "price": price,
        "used": used,
        "violations": rules_payload(checked.violations),
        "report": list(checked.report),
    }


def rules_payload(broken: Iterable[Violation], wired: Iterable[str] = ()) -> list[dict[str, str]]:
    """Return violations, save those of widgets whose value only the run will know."""
    unknown = {WIRED_FIELDS.get(name, name) for name in wired}
    return violation_payloads(one for one in broken if one.field not in unknown)


def _price(reading: NodeReading, seconds: Decimal | float, *, china: bool) -> dict[str, Any] | None:
    model, mode = _known(Model, reading.motion.model), _known(Mode, reading.motion.mode)
    if model is None or mode is None:
        return None
    price = price_of(model, mode, seconds, china=china)
    return {
        "units": number_of(price.units),
        "cash": number_of(price.cash),
        "currency": price.currency,
        "seconds": number_of(price.seconds),
    }


def _loaded(prompt: dict[str, Any], value: Any, loader: str, widget: str) -> str:
    source = prompt.get(_link(value) or "")
    if source is None or source.get("class_type") != loader:
        return ""
    name = source.get("inputs", {}).get(widget)
    return name if isinstance(name, str) else ""


def _link(value: Any) -> str | None:
    if isinstance(value, list) and len(value) == LINK_PARTS and value[1] == 0:
        return str(value[0])
    return None


def _choice(kind: Any, text: str, default: Any) -> Any:
    return _known(kind, text) or default


def _known(kind: Any, text: str) -> Any:
    return kind(text) if text in {item.value for item in kind} else None


def _minutes(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return USUAL_WAIT_MINUTES
    return float(max(-MANY_MINUTES, min(value, MANY_MINUTES)))  # JSON's whole numbers have no end


def _amount(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value or 0))
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)
