"""The settings of a motion-control order, in one table.

Nodes, command line, page, ledger, job key and wire body are made from it: a new setting of the vendor is one
more field of `MotionControl`, with the words that people read. Source: Kling's API page "Motion Control"
(March 2026).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from .limits import MODELS, USD_PER_UNIT, Mode, Orientation

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Setting:
    """What every place that shows, reads, stores or sends a setting has to know of it."""

    tip: str
    """The tooltip at a node, in English; the page has its own words in `locales/`."""
    help: str = ""
    """One line of the command line's help; empty for a setting that it does not have."""
    name: str = ""
    """The field of its dataclass, the input of a node and the column of the ledger."""
    default: Any = None
    """Its type is the kind of the setting: text, truth, whole number, number, or a `StrEnum`."""
    choices: tuple[str, ...] = ()
    """The texts that the vendor knows; empty where every text may do."""
    option: str = ""
    """The command line's name for it, where that is not `name` with dashes."""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    is_multiline: bool = False
    is_advanced: bool = False
    """A node shows it on demand alone."""
    is_stripped: bool = False
    """White space around it means nothing."""
    is_late: bool = False
    """Added after the first release: at its default it is left out of the job key, so that the keys of jobs
    that are paid already stay the same."""
    wire: Callable[[Any], dict[str, Any]] | None = None
    """The part of a create's JSON body that says it; None for a setting that Kling never sees."""
    standard: Callable[[Any], dict[str, Any]] | None = None
    """The same in the generation `standard`: a `content`, or fields of `settings` or `options`."""


RESOLUTIONS: Final = {Mode.STD.value: "720p", Mode.PRO.value: "1080p"}
"""`settings.resolution` of the generation `standard`, by `mode`."""


def setting(default: Any, **facts: Any) -> Any:
    """Return a dataclass field that carries a `Setting`.

    Args:
        default: the value where nobody says anything; its type decides how the setting is read and stored.
        **facts: the fields of `Setting`, less `name` and `default`.
    """
    return field(default=default, metadata={"setting": Setting(default=default, **facts)})


def settings_of(kind: type[Any]) -> tuple[Setting, ...]:
    """Return the settings of a dataclass in the order of its fields."""
    return tuple(
        replace(item.metadata["setting"], name=item.name)
        for item in fields(kind)
        if "setting" in item.metadata
    )


def _when_set(wire: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """Leave an optional field out of the body while it is empty."""
    return lambda value: wire(value) if value else {}


def _model_tip() -> str:
    with_element = " and ".join(model.name for model in MODELS.values() if model.takes_element)
    retired = (
        f" {model.name} was switched off on {model.retired_on}."
        for model in MODELS.values()
        if model.retired_on
    )
    return f"Kling's model. Elements are documented for {with_element}.{''.join(retired)}"


def _rates() -> str:
    """Return the list price of a second, by model and mode."""
    return "; ".join(
        f"{model.name} "
        + ", ".join(
            f"{mode} {(units * USD_PER_UNIT).normalize():f} USD"
            for mode, units in model.units_per_second.items()
        )
        for model in MODELS.values()
    )


@dataclass(frozen=True, slots=True)
class MotionControl:
    """The settings that decide a result. Texts are checked before anything is sent, not on construction.

    White space around a prompt means nothing, nor does the kind of its line ends: both are made one here, so
    that they are hashed, sent and written down alike.
    """

    prompt: str = setting(
        "",
        tip="Look, setting and camera, not the motion: that comes from the video."
        " Up to 2,500 characters; may stay empty.",
        help="Look, setting and camera, not the motion.",
        is_multiline=True,
        wire=_when_set(lambda text: {"prompt": text}),
        standard=_when_set(lambda text: {"contents": [{"type": "prompt", "text": text}]}),
    )
    model: str = setting(
        next(iter(MODELS)),
        choices=tuple(MODELS),
        tip=_model_tip(),
        help=f"{' or '.join(MODELS)}.",
        wire=lambda name: {"model_name": name},
    )
    mode: str = setting(
        Mode.STD.value,
        choices=tuple(Mode),
        tip=f"std is 720p, pro is 1080p. Price per second of the reference video: {_rates()}.",
        help="std is 720p, pro is 1080p.",
        wire=lambda mode: {"mode": mode},
        standard=lambda mode: {"settings": {"resolution": RESOLUTIONS[mode]}},
    )
    character_orientation: str = setting(
        Orientation.VIDEO.value,
        choices=tuple(Orientation),
        option="orientation",
        tip="video: the character faces as in the reference video, which may be 3 to 30 s long."
        " image: as in the picture, 3 to 10 s.",
        help="video: face as in the video, 3 to 30 s; image: as in the picture, 3 to 10 s.",
        wire=lambda orientation: {"character_orientation": orientation},
        standard=lambda orientation: {"settings": {"character_orientation": orientation}},
    )
    keep_original_sound: bool = setting(
        default=True,
        option="keep-sound",
        tip="Put the reference video's sound into the result.",
        help="Keep the reference video's sound.",
        wire=lambda keep: {"keep_original_sound": "yes" if keep else "no"},
        standard=lambda keep: {"settings": {"audio": "original" if keep else "off"}},
    )
    take: int = setting(
        0,
        minimum=0,
        maximum=2**31 - 1,
        tip="0 is the first result. The same inputs and take are paid once, however often they are queued;"
        " raise the number to buy another result on purpose.",
        help="0 is the first result; raise it to buy another on purpose.",
    )
    element_id: str = setting(
        "",
        is_advanced=True,
        is_stripped=True,
        tip="Id of an element of your Kling account that keeps the face stable: its number as text."
        " With it the character faces as in the video, whatever character_orientation says.",
        help="Id of an element that keeps the face stable.",
        wire=_when_set(lambda digits: {"element_list": [{"element_id": int(digits)}]}),
        standard=_when_set(
            lambda digits: {
                "contents": [{"type": "element", "element_id": str(int(digits)), "id": "element_1"}]
            }
        ),
    )
    watermark: bool = setting(
        default=False,
        is_advanced=True,
        tip="Ask for a watermarked copy as well. It is kept beside the video; its link is the output"
        " watermark_url.",
        help="Ask for a watermarked copy as well.",
        wire=_when_set(lambda _wanted: {"watermark_info": {"enabled": True}}),
        standard=_when_set(lambda _wanted: {"options": {"watermark_info": {"enabled": True}}}),
    )

    def __post_init__(self) -> None:
        prompt = re.sub(r"\r\n?", "\n", self.prompt).strip()
        object.__setattr__(self, "prompt", prompt)

    def wire(self) -> dict[str, Any]:
        """Return the settings as they stand in a create's JSON body."""
        body: dict[str, Any] = {}
        for item in MOTION_SETTINGS:
            if item.wire is not None:
                body |= item.wire(getattr(self, item.name))
        return body

    def standard_wire(self) -> dict[str, Any]:
        """Return `contents`, `settings` and `options` of a create of the generation `standard`."""
        contents: list[dict[str, Any]] = []
        settings: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for item in MOTION_SETTINGS:
            if item.standard is not None:
                part = item.standard(getattr(self, item.name))
                contents += part.get("contents", ())
                settings |= part.get("settings", {})
                options |= part.get("options", {})
        return {"contents": contents, "settings": settings, "options": options}


MOTION_SETTINGS = settings_of(MotionControl)
"""Every setting that decides a result, in the order in which nodes list them."""
