"""Create Element, List Elements and Element: what keeps a character's looks stable in motion control."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..kling_once.api.limits import (
    ELEMENT_DESCRIPTION_MAX_CHARACTERS,
    ELEMENT_NAME_MAX_CHARACTERS,
    ELEMENT_PRICE,
    ELEMENT_VIEWS_MAX,
)
from ..kling_once.api.motion_control import Setting
from ..kling_once.errors import SubmissionsHeld
from ..kling_once.order import (
    SERVICES_OFF,
    ElementOrder,
    Graph,
    Spender,
    refuse,
)
from . import host
from .delivery import fingerprint, fingerprint_of_this_queueing
from .host import io, ui
from .node_run import HIDDEN, NodeRun, announced, as_run
from .orders import CATEGORY, ON_FAILURE, SETTINGS, clip_of, is_off, setting_inputs, values_of
from .tasks import list_outputs, list_shown, text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kling_once.api.models import Element

PICTURES, CLIP = "pictures", "video"
OWN, PRESETS = "own", "presets"
NONE = "none"
"""The choice of an element before the page has filled the list."""
MADE = (
    Setting(
        name="name",
        default="",
        is_stripped=True,
        tip=f"Name of the element, 1 to {ELEMENT_NAME_MAX_CHARACTERS} characters.",
    ),
    Setting(
        name="description",
        default="",
        is_stripped=True,
        is_multiline=True,
        tip=f"What it looks like, 1 to {ELEMENT_DESCRIPTION_MAX_CHARACTERS} characters.",
    ),
    *(SETTINGS[name] for name in ("service", "project", "conform")),
    ON_FAILURE,
    *(SETTINGS[name] for name in ("wait_minutes", "profile")),
)
LISTED = (
    Setting(
        name="of",
        default=OWN,
        choices=(OWN, PRESETS),
        tip="own: those of the account. presets: Kling's official ones.",
    ),
    *(SETTINGS[name] for name in ("service", "profile")),
)
HEADS = ("element_id", "name", "description")
NUMBER = re.compile(r"([0-9]{1,19})\s*$")


class CreateElement(io.ComfyNode):
    """Make an element, or hand over the one that is made."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_CreateElement",
            display_name="Kling Once Create Element",
            category=CATEGORY,
            description="Makes an element of your Kling account: a character whose looks stay stable in"
            " motion control. The same pictures, name and description make one element, however often they"
            f" are queued. {ELEMENT_PRICE}",
            search_aliases=["kling", "element", "character", "subject", "reference", "face", "identity"],
            inputs=[_material(), *setting_inputs(MADE)],
            outputs=[
                io.String.Output(
                    display_name="element_id", tooltip="Wire it to element_id of Kling Once Motion Control."
                ),
                io.String.Output(display_name="task_id"),
            ],
            hidden=list(HIDDEN),
            is_output_node=True,
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        values = values_of(MADE, inputs)
        del values[ON_FAILURE.name]
        order = ElementOrder(
            **values,
            **await _made_of(inputs["material"]),
            image_name=run.file_name("material.frontal"),
            video_name=run.file_name("material.video"),
            spender=Spender(run.prompt_id, run.node_id),
            graph=Graph(run.signature, run.workflow),
            kept_only=is_off(values["service"]),
        )
        made = await run.follow(lambda engine, listen: engine.create_element(order, listen))
        came_to = "reused, nothing was submitted" if made.reused else "made"
        await run.end(f"element {made.element_id} | {came_to} | task {made.attempt.task_id}")
        return io.NodeOutput(made.element_id, made.attempt.task_id or "", ui=ui.PreviewText(made.report()))

    check_lazy_status = classmethod(announced)

    @classmethod
    def validate_inputs(cls, material: Any = None) -> str | bool:
        """Say in words that what the element is made of is not chosen."""
        chosen = material.get("material") if isinstance(material, dict) else material
        if chosen in {PICTURES, CLIP}:
            return True
        return (
            "material is missing or unknown. Set it to 'pictures' (then wire material.frontal and"
            " material.views) or 'video' (material.video)."
        )

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run again after an attempt has failed, and after the element was deleted."""
        return fingerprint()


class ListElements(io.ComfyNode):
    """List elements; pays nothing."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_ListElements",
            display_name="Kling Once List Elements",
            category=CATEGORY,
            description="Lists the elements of the account, newest first, or Kling's official ones."
            " Pays nothing.",
            search_aliases=["kling", "elements", "library", "presets", "list"],
            inputs=setting_inputs(LISTED),
            outputs=list_outputs("element"),
            is_output_node=True,
        )

    @classmethod
    @as_run
    async def execute(cls, _run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        values = values_of(LISTED, inputs)
        if is_off(values["service"]):
            raise SubmissionsHeld(SERVICES_OFF)
        engine = await host.engine()
        listed = await host.watched(
            engine.list_elements(values["service"], values["profile"], presets=values["of"] == PRESETS)
        )
        return list_shown(element_table(listed), [element.element_id for element in listed])

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Run at every queueing: it is free, and the library changes."""
        return fingerprint_of_this_queueing()


class ChosenElement(io.ComfyNode):
    """Choose an element by its name; asks nobody."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_Element",
            display_name="Kling Once Element",
            category=CATEGORY,
            description="Hands over the id of an element that you choose by name. Asks nobody, pays nothing.",
            search_aliases=["kling", "element", "character", "choose", "pick"],
            inputs=[
                io.Combo.Input(
                    "element",
                    options=[NONE],
                    default=NONE,
                    optional=True,
                    tooltip="One of the account's or of the official elements; the page fills the list."
                    " Its number counts.",
                ),
                *setting_inputs(SETTINGS[name] for name in ("service", "profile")),
            ],
            outputs=[
                io.String.Output(
                    display_name="element_id", tooltip="Wire it to element_id of Kling Once Motion Control."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, element: Any = None) -> str | bool:  # noqa: ARG003 - naming it keeps core from comparing it with the list
        """Take whatever the page chose: the list is the account's, and not known here."""
        return True

    @classmethod
    @as_run
    async def execute(cls, _run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        return io.NodeOutput(element_number(str(inputs.get("element") or "")))


def element_number(chosen: str) -> str:
    """Return the id at the end of a choice such as `Mia | 829836802793406551`.

    Raises:
        InputRefused: it ends with none.
    """
    match = NUMBER.search(chosen)
    if match is None:
        refuse("element", "No element is chosen. Choose one of the list, or type its number.")
    return match[1]


def element_table(elements: Sequence[Element]) -> str:
    """Return one line for each element under a line of heads; never a link."""
    if not elements:
        return "There are no elements."
    return text_table(
        HEADS, ((one.element_id, one.element_name, one.element_description) for one in elements)
    )


def _material() -> Any:
    """Return the choice of what an element is made of; the hidden widget `kind` is as in `orders`."""

    def hidden() -> Any:
        extra = {"hidden": True}
        return io.Combo.Input("kind", options=["clip"], default="clip", optional=True, extra_dict=extra)

    frontal = io.Image.Input(
        "frontal", tooltip="The character from the front. One picture, sides from 300 px."
    )
    views = io.Image.Input(
        "views",
        tooltip=f"One to {ELEMENT_VIEWS_MAX} other views of the same character, as a batch;"
        " the frontal picture is refused among them.",
    )
    clip = io.Video.Input(
        "video", tooltip="A realistic person, 3 to 8 s, 1080p in 16:9 or 9:16, at most 200 MB."
    )
    return io.DynamicCombo.Input(
        "material",
        options=[
            io.DynamicCombo.Option(PICTURES, [frontal, views, hidden()]),
            io.DynamicCombo.Option(CLIP, [clip, hidden()]),
        ],
        tooltip="What the element is made of.",
    )


async def _made_of(material: dict[str, Any]) -> dict[str, Any]:
    """Return what an element is made of, as arguments of its order.

    Raises:
        InputRefused: something is missing, or is no picture.
    """
    if material["material"] == CLIP:
        if material.get(CLIP) is None:
            refuse("material.video", "Nothing came over material.video.")
        return {"video": await host.in_thread(clip_of, material[CLIP])}
    frontal, views = (_pictures(name, material.get(name)) for name in ("frontal", "views"))
    if len(frontal) != 1:
        message = f"material.frontal is a batch of {len(frontal)} pictures; it takes one."
        refuse("material.frontal", message)
    return {"image": frontal[0], "views": tuple(views)}


def _pictures(name: str, batch: Any) -> list[Any]:
    """Return the pictures of a batch."""
    if batch is None:
        refuse(f"material.{name}", f"Nothing came over material.{name}.")
    if not hasattr(batch, "shape"):
        refuse(f"material.{name}", f"material.{name} takes ComfyUI's IMAGE; a {type(batch).__name__} came.")
    return [batch[number : number + 1] for number in range(int(batch.shape[0]))]
