"""`kling-once elements`: the element library of an account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..api.limits import ELEMENT_PRICE
from ..errors import SettingsError
from ..media.types import ConformMode
from ..order import USUAL_WAIT_MINUTES, ElementOrder, Service, VideoFile, VideoUrl
from .options import (
    ConformOption,
    JsonOption,
    ProfileOption,
    ServiceOption,
    WaitOption,
    this_invocation,
)
from .session import engine_and_errors, wait_for
from .terminal import out, print_json, print_table, shown

elements_app = typer.Typer(
    help="Elements: what keeps a character's looks stable in motion control.", no_args_is_help=True
)

IdArgument = Annotated[str, typer.Argument(metavar="ELEMENT_ID", help="The number of the element.")]
COLUMNS = ("element_id", "name", "description", "kind", "is_preset")


@elements_app.command("list")
def list_elements(
    presets: Annotated[bool, typer.Option("--presets", help="The official ones.")] = False,
    search: Annotated[str, typer.Option(help="Only those whose name, description or id holds this.")] = "",
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the account's own elements, newest first, or the official ones. Pays nothing."""
    from ..jobs.library import searched  # noqa: PLC0415 - keeps --help quick
    from ..web.answers import ElementAnswer  # noqa: PLC0415 - likewise

    with engine_and_errors(as_json=as_json) as engine:
        found = searched(engine.list_elements(service, profile, presets=presets).result(), search)
    payloads = [ElementAnswer.of(element).model_dump(mode="json") for element in found]
    if as_json:
        print_json({"elements": payloads})
    else:
        print_table(COLUMNS, payloads, whole=COLUMNS[:1])


@elements_app.command("show")
def show_element(
    element_id: IdArgument,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show one of the account's own or of the official elements. Pays nothing."""
    from ..web.answers import ElementAnswer  # noqa: PLC0415 - keeps --help quick

    with engine_and_errors(as_json=as_json) as engine:
        element = engine.show_element(service, profile, element_id).result()
    payload = ElementAnswer.of(element).model_dump(mode="json")
    if as_json:
        print_json(payload)
    else:
        for name, value in payload.items():
            out.print(shown(f"{name}: {'' if value is None else value}"))


@elements_app.command("create")
def create_element(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES",
            help="The frontal picture and one to three other views, or one clip (a file or a URL).",
        ),
    ],
    name: Annotated[str, typer.Option(help="Up to 20 characters.")],
    description: Annotated[str, typer.Option(help="Up to 100 characters.")],
    *,
    clip: Annotated[
        bool, typer.Option("--clip", help="The one input is a clip of 3 to 8 s in 1080p.")
    ] = False,
    conform: ConformOption = ConformMode.AUTO,
    wait_minutes: WaitOption = USUAL_WAIT_MINUTES,
    project: Annotated[str, typer.Option(help="Label of the job.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Try again after a failure that is likely to come back.")
    ] = False,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make an element, once however often this is run."""
    from ..web.answers import OutcomeAnswer  # noqa: PLC0415 - keeps --help quick

    with engine_and_errors(as_json=as_json) as engine:
        order = ElementOrder(
            name=name,
            description=description,
            **_made_of(pictures, is_clip=clip),
            service=service,
            project=project,
            conform=conform,
            wait_minutes=wait_minutes,
            profile=profile,
            again=again,
            spender=this_invocation(),
        )
        made = wait_for(lambda listen: engine.create_element(order, listen), as_json=as_json)
    if as_json:
        payload = OutcomeAnswer.of(made).model_dump(mode="json")
        of_elements = {name: value for name, value in payload.items() if name not in OF_VIDEOS}
        print_json({"element_id": made.element_id} | of_elements)
    else:
        out.print(shown(made.report()))
        out.print(shown(made.element_id))


OF_VIDEOS = frozenset({"path", "video_url", "watermark_url", "duration_seconds"})
"""Fields of an answer that an element does not have."""


def _made_of(given: list[str], *, is_clip: bool) -> dict[str, Any]:
    """Return what an element is made of, as arguments of its order.

    Raises:
        SettingsError: more than one clip.
    """
    if not is_clip:
        frontal, *views = map(Path, given)
        return {"image": frontal, "views": tuple(views)}
    if len(given) != 1:
        raise SettingsError(f"--clip takes one clip; {len(given)} inputs were given.")
    is_url = "://" in given[0]
    return {"video": VideoUrl(given[0]) if is_url else VideoFile(Path(given[0]))}


@elements_app.command("delete")
def delete_element(
    element_id: IdArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    service: ServiceOption = Service.SANDBOX,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
) -> None:
    """Delete an element of the account at Kling. Ordering it again makes it again."""
    if not yes:
        typer.confirm(f"Delete element {element_id} at {service.value}?", abort=True, err=True)
    with engine_and_errors(as_json=as_json) as engine:
        engine.delete_element(service, profile, element_id).result()
    if as_json:
        print_json({"element_id": element_id, "deleted": True})
    else:
        out.print(f"Element {element_id} is deleted.")


create_element.__doc__ = f"{create_element.__doc__} {ELEMENT_PRICE}"
