"""The element library of an account: listed, with small pictures, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ..jobs.library import searched
from ..order import Service
from .account import Profile  # noqa: TC001 - pydantic reads it from a model of ours
from .answers import Answer, ElementAnswer
from .endpoint import Call, Given, Jpeg, Nothing, Who, WithCode, endpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable


class ElementPath(Given):
    """One element."""

    element_id: str = Field(pattern=r"^[1-9][0-9]{0,18}$")


class ElementAccount(Given):
    """Whose elements."""

    service: Service = Service.SANDBOX
    profile: Profile = ""


class ElementsQuery(ElementAccount):
    """A page of an account's own elements, or of the official ones."""

    of: Literal["own", "presets"] = "own"
    search: str = Field("", max_length=200)
    offset: int = Field(0, ge=0, le=1_000_000)
    limit: int = Field(30, ge=1, le=1000)
    is_fresh: bool = False
    """Ask Kling; else a list that was read just now may do."""


class ElementList(Answer):
    """A page of elements, newest first."""

    total: int
    offset: int
    elements: list[ElementAnswer]
    browse: Literal["own", "all"]
    """`own` where the server lists elements of its own ledger only."""


class DeleteElementBody(WithCode):
    """An element of an account is to be deleted at Kling."""

    service: Service = Service.SANDBOX
    profile: Profile = ""


class DeletedElement(Answer):
    """An element that is gone."""

    element_id: str
    deleted: Literal[True] = True


@endpoint("GET", "/elements", query=ElementsQuery, answer=ElementList)
async def elements(call: Call[Nothing, ElementsQuery]) -> ElementList:
    """List the account's own elements, newest first, or the official ones."""
    wanted = call.given
    call.require_service(wanted.service)
    listed = call.engine.list_elements(
        wanted.service, wanted.profile, presets=wanted.of == "presets", is_fresh=wanted.is_fresh
    )
    found = searched(await listed, wanted.search)
    page = found[wanted.offset : wanted.offset + wanted.limit]
    return ElementList(
        total=len(found),
        offset=wanted.offset,
        elements=[ElementAnswer.of(element) for element in page],
        browse=call.engine.settings.account_browse,
    )


@endpoint("GET", "/elements/{element_id}/picture", params=ElementPath, query=ElementAccount, answer=Jpeg)
async def element_picture(call: Call[ElementPath, ElementAccount]) -> Jpeg:
    """Return an element's frontal picture, small."""
    call.require_service(call.given.service)
    path = call.engine.element_picture(call.given.service, call.given.profile, call.params.element_id)
    return Jpeg(await path)


@endpoint(
    "POST",
    "/elements/{element_id}/delete",
    params=ElementPath,
    body=DeleteElementBody,
    answer=DeletedElement,
    who=Who.LOCAL,
)
async def delete_element(call: Call[ElementPath, DeleteElementBody]) -> DeletedElement:
    """Delete an element of the account at Kling; ordering it again makes it again."""
    given, element_id = call.given, call.params.element_id
    call.require_service(given.service)
    deleting: Awaitable[None] = call.engine.delete_element(given.service, given.profile, element_id)
    await deleting
    call.engine.watchers.tell("", "elements")
    return DeletedElement(element_id=element_id)
