"""A node of a graph before it runs: what can be read from its API prompt, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from ..api.limits import VIDEO_MAX_SECONDS, Mode, Model, Orientation
from ..api.prices import CNY_PER_UNIT, UNITS_PER_SECOND, USD_PER_UNIT
from ..api.prices import price as price_of
from ..jobs.job import Cuts, MotionControl, Service
from ..media.types import ConformMode
from .payloads import number_of

if TYPE_CHECKING:
    from ..jobs.checking import Checked

NODES: Final = frozenset(
    {
        "KlingDirect_MotionControl",
        "KlingDirect_SubmitMotionControl",
        "KlingDirect_CheckMotionControl",
    }
)
"""Those that describe an order."""
PAYING: Final = NODES - {"KlingDirect_CheckMotionControl"}
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
    if not isinstance(node, dict) or node.get("class_type") not in NODES:
        return None
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return None
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
        source=text("motion_source"),
        url=text("motion_source.url").strip(),
        image_file=_loaded(prompt, inputs.get("image"), "LoadImage", "image"),
        video_file=_loaded(prompt, inputs.get("motion_source.video"), "LoadVideo", "file"),
        wired=wired,
    )


def rate_payload(reading: NodeReading, *, china: bool) -> dict[str, Any] | None:
    """Return the price of a second, None for a model or mode that has none."""
    model, mode = _known(Model, reading.motion.model), _known(Mode, reading.motion.mode)
    if model is None or mode is None:
        return None
    units = UNITS_PER_SECOND[model, mode]
    return {
        "units": number_of(units),
        "cash": number_of(units * (CNY_PER_UNIT if china else USD_PER_UNIT)),
        "currency": "CNY" if china else "USD",
    }


def most_payload(reading: NodeReading, *, china: bool) -> dict[str, Any] | None:
    """Return the price at the orientation's maximum: all that is known of an address."""
    model, mode = _known(Model, reading.motion.model), _known(Mode, reading.motion.mode)
    orientation = _known(Orientation, reading.motion.character_orientation)
    if model is None or mode is None or orientation is None:
        return None
    price = price_of(model, mode, VIDEO_MAX_SECONDS[orientation], china=china)
    return {
        "units": number_of(price.units),
        "cash": number_of(price.cash),
        "currency": price.currency,
        "seconds": number_of(price.seconds),
    }


def checked_node_payload(checked: Checked, clip_seconds: float | None) -> dict[str, Any]:
    """Return what a check of the node's files found; `clip_seconds` is the length of the whole clip."""
    price = checked.price
    used = None
    if price is not None and clip_seconds and clip_seconds - float(price.seconds) > SHORTER_SECONDS:
        used = {"start": 0.0, "end": number_of(price.seconds), "of": round(clip_seconds, 3)}
    return {
        "price": {
            "units": number_of(price.units),
            "cash": number_of(price.cash),
            "currency": price.currency,
            "seconds": number_of(price.seconds),
        }
        if price
        else None,
        "used": used,
        "violations": [
            {"field": one.field, "rule": one.rule, "message": one.message} for one in checked.violations
        ],
        "notes": list(checked.notes),
        "report": list(checked.report),
    }


def _loaded(prompt: dict[str, Any], value: Any, loader: str, widget: str) -> str:
    source = prompt.get(_link(value) or "")
    if not isinstance(source, dict) or source.get("class_type") != loader:
        return ""
    inputs = source.get("inputs")
    name = inputs.get(widget) if isinstance(inputs, dict) else None
    return name if isinstance(name, str) else ""


def _link(value: Any) -> str | None:
    if isinstance(value, list) and len(value) == LINK_PARTS and value[1] == 0:
        return str(value[0])
    return None


def _choice(kind: Any, text: str, default: Any) -> Any:
    return _known(kind, text) or default


def _known(kind: Any, text: str) -> Any:
    return kind(text) if text in {item.value for item in kind} else None


def _amount(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value or 0))
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)
