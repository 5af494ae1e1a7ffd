"""Read an API prompt of ComfyUI: what is wired to a node, what leads to it, and what its widgets say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from ..api.limits import Orientation, known
from ..api.motion_control import MOTION_SETTINGS
from ..errors import InputRefused
from ..order import ORDER_SETTINGS, MotionControl, Order, VideoFile, read_setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.motion_control import Setting

ApiPrompt = dict[str, dict[str, Any]]
"""`{node id: {"class_type": ..., "inputs": {...}}}`; what somebody queued in another form has no inputs."""

LINK_PARTS = 2
FILE_INPUTS = ("image", "file", "video", "audio")
"""What core's loaders call the file that they load."""
PREVIEWS: Final = frozenset({"video-preview", "audioUI"})
"""Widgets in which the page plays what core's loaders load; among a loader's inputs once that is loaded."""
NODES: Final = frozenset(
    {"KlingOnce_MotionControl", "KlingOnce_SubmitMotionControl", "KlingOnce_CheckMotionControl"}
)
"""Those that describe an order."""
SPLIT: Final = "KlingOnce_SplitVideo"
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


def link_of(value: Any) -> tuple[str, int] | None:
    """Return the node and the slot that an input is linked to, None for a constant."""
    if isinstance(value, list) and len(value) == LINK_PARTS and isinstance(value[1], int):
        return str(value[0]), value[1]
    return None


def takers_of(prompt: ApiPrompt, node_id: str, slot: int) -> list[str]:
    """Return the nodes with an input that takes this output."""
    wanted = (node_id, slot)
    return [
        name for name in prompt if any(link_of(value) == wanted for value in _inputs(prompt, name).values())
    ]


def is_wired(prompt: ApiPrompt, node_id: str, slot: int) -> bool:
    """Tell whether an input takes this output; True also when the prompt does not know the node."""
    return node_id not in prompt or bool(takers_of(prompt, node_id, slot))


def class_of(prompt: ApiPrompt, node_id: str) -> Any:
    """Return a node's class as the prompt names it."""
    node = prompt.get(node_id)
    return node.get("class_type") if isinstance(node, dict) else None


def source_of(prompt: ApiPrompt, node_id: str, input_id: str) -> str | None:
    """Return the node that an input is linked to."""
    link = link_of(_inputs(prompt, node_id).get(input_id))
    return link[0] if link else None


def file_name_of(prompt: ApiPrompt, node_id: str, input_id: str) -> str:
    """Return what to call the picture or clip that comes in: the file's name without folder and ending."""
    inputs = _inputs(prompt, source_of(prompt, node_id, input_id) or "")
    for name in FILE_INPUTS:
        value = inputs.get(name)
        if isinstance(value, str):
            return PurePath(value.removesuffix("]").rsplit(" [", 1)[0].replace("\\", "/")).stem
    return ""


def signature(prompt: ApiPrompt, node_id: str, moment_of: Callable[[str], float | None]) -> str:
    """Return a hash of a node and everything that leads to it, whatever the nodes are numbered.

    `moment_of` tells when the input file that a text names was changed, None when it names none.
    """
    known: dict[str, str] = {}
    waiting = [node_id]
    while waiting:  # no recursion: a chain may be longer than Python's stack
        current = waiting[-1]
        if current not in known:
            known[current] = ""  # a loop ends here
            links = map(link_of, _sorted_inputs(prompt, current).values())
            waiting += reversed([link[0] for link in links if link and link[0] not in known])
            continue
        waiting.pop()
        known[current] = known[current] or _node_hash(prompt, current, known, moment_of)
    return known[node_id]


def _node_hash(
    prompt: ApiPrompt, node_id: str, known: dict[str, str], moment_of: Callable[[str], float | None]
) -> str:
    def described(value: Any) -> Any:
        link = link_of(value)
        if link is not None:
            return ["link", known[link[0]], link[1]]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # ComfyUI makes 0.0 of a page's 0 before it runs
        if isinstance(value, str) and (moment := moment_of(value)) is not None:
            return ["file", value, moment]
        return value

    given = _sorted_inputs(prompt, node_id).items()
    inputs = {name: described(value) for name, value in given if name not in PREVIEWS}
    text = json.dumps([class_of(prompt, node_id), inputs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _inputs(prompt: ApiPrompt, node_id: str) -> dict[str, Any]:
    node = prompt.get(node_id)
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _sorted_inputs(prompt: ApiPrompt, node_id: str) -> dict[str, Any]:
    return dict(sorted(_inputs(prompt, node_id).items()))


@dataclass(frozen=True, slots=True)
class SplitReading:
    """What the widgets of a Split Video node say; None stands for what only the run will know."""

    video_file: str
    """As LoadVideo names it; empty where the clip comes from elsewhere."""
    orientation: Orientation
    most_seconds: float | None
    overlap_seconds: float | None


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What the widgets of a node say."""

    order: Order
    """With neither picture nor clip; a setting that is wired, or cannot be read, is at its default."""
    source: Any
    """`video`, `frames` or `url`, unless somebody queued something else."""
    url: str
    image_file: str
    """As LoadImage names it; empty where the picture comes from elsewhere."""
    video_file: str
    """As LoadVideo names it; likewise."""
    wired: tuple[str, ...]
    """Widgets whose value comes from elsewhere."""
    bare: tuple[str, ...]
    """Sockets to which nothing is wired."""
    split: SplitReading | None = None
    """What the clip is divided by, so that the node runs once for each part."""

    @property
    def has_files(self) -> bool:
        """Tell whether picture and clip come straight from loaders, and nothing that decides is wired."""
        return bool(self.image_file and self.video_file) and not self.wired

    @property
    def orientation(self) -> Orientation:
        """Return what a clip is measured against; an unknown orientation is a violation of its own."""
        return known(Orientation, self.order.motion.character_orientation) or Orientation.VIDEO


def read_node(prompt: ApiPrompt, node_id: str) -> NodeReading | None:
    """Return what a node of an API prompt says, None for a node that orders nothing."""
    if class_of(prompt, node_id) not in NODES:
        return None
    inputs = _inputs(prompt, node_id)
    motion = MotionControl(**{item.name: _value(item, inputs) for item in MOTION_SETTINGS})
    settings = {item.name: _value(item, inputs) for item in ORDER_SETTINGS}
    url = inputs.get("motion_source.url")
    source = inputs.get("motion_source")
    needed = ["image", *([f"motion_source.{source}"] if source in {"video", "frames"} else [])]
    return NodeReading(
        order=Order(image=None, video=VideoFile(Path()), motion=motion, **settings),
        source=source,
        url=url.strip() if isinstance(url, str) else "",
        image_file=_loaded(prompt, inputs.get("image"), "LoadImage", "image"),
        video_file=_loaded(prompt, inputs.get("motion_source.video"), "LoadVideo", "file"),
        wired=tuple(name for name in DECIDING if isinstance(inputs.get(name), list)),
        bare=tuple(name for name in needed if link_of(inputs.get(name)) is None),
        split=_split(prompt, inputs.get("motion_source.video")) if source == "video" else None,
    )


def _split(prompt: ApiPrompt, link: Any) -> SplitReading | None:
    """Return what divides the clip of an input, None where it comes whole."""
    source, slot = link_of(link) or ("", 0)
    if slot != 0 or class_of(prompt, source) != SPLIT:
        return None
    inputs = _inputs(prompt, source)
    return SplitReading(
        video_file=_loaded(prompt, inputs.get("video"), "LoadVideo", "file"),
        orientation=known(Orientation, str(inputs.get("character_orientation"))) or Orientation.VIDEO,
        most_seconds=_number(inputs.get("most_seconds", 0)),
        overlap_seconds=_number(inputs.get("overlap", 0)),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _value(item: Setting, inputs: dict[str, Any]) -> Any:
    """Return a widget's value, or the default where it is wired or cannot be read."""
    given = inputs.get(item.name)
    try:
        return read_setting(item, None if isinstance(given, list) else given)
    except InputRefused:
        return item.default


def _loaded(prompt: ApiPrompt, link: Any, loader: str, widget: str) -> str:
    """Return the file that a loader's widget names, where an input is linked to the loader's first output."""
    source, slot = link_of(link) or ("", 0)
    if slot != 0 or class_of(prompt, source) != loader:
        return ""
    name = _inputs(prompt, source).get(widget)
    return name if isinstance(name, str) else ""
