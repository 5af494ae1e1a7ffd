"""Declare a route of the page: its path, what it takes, what it answers, and who may call it."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ..errors import SubmissionsHeld
from ..order import SERVICES_OFF

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from types import ModuleType

    from ..jobs.engine import Engine
    from ..order import Service
    from .app import App

BODY_MAX_BYTES: Final = 64 * 1024


class Who(Enum):
    """Who may call a route."""

    PAGE = "page"
    """Pages of this server and of trusted origins, and programs that name no origin."""
    LOCAL = "local"
    """A page on this very machine, or whoever sends a one-time code of `kling-once keys allow`."""


class Given(BaseModel):
    """Path parameters, a query or a body. An unknown field is refused: it may be a misspelt one."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Nothing(Given):
    """No fields."""


class WithCode(Given):
    """The body of a route that `Who.LOCAL` may call."""

    code: str = Field("", max_length=40)
    """A code printed by `kling-once keys allow`."""


Params = TypeVar("Params", bound=Given)
Values = TypeVar("Values", bound=Given)
Answered = TypeVar("Answered", bound="BaseModel | FileAnswer")


@dataclass(frozen=True, slots=True)
class Call(Generic[Params, Values]):
    """A request that passed the guard."""

    app: App
    engine: Engine
    params: Params
    """Of the path."""
    given: Values
    """The query of a GET, the body of a POST."""
    looks_local: bool
    """The page that asks may change keys and limits without a code."""

    def require_service(self, service: Service) -> None:
        """Pass unless the operator has switched a service off.

        Raises:
            SubmissionsHeld: they have.
        """
        if self.app.host.is_off(service):
            raise SubmissionsHeld(SERVICES_OFF, hint="What is kept already is still shown and handed over.")


@dataclass(frozen=True)
class FileAnswer:
    """An answer that is a file; subclasses say of which type."""

    content: Path | bytes | str
    name: str = ""
    """What a browser saves it as."""
    media_type: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}


class Jpeg(FileAnswer):
    """A picture, which never changes under its address."""

    media_type = "image/jpeg"
    headers: ClassVar[Mapping[str, str]] = {"Cache-Control": "private, max-age=86400"}


class Mp4(FileAnswer):
    """A video; a player may ask for a range of it."""

    media_type = "video/mp4"


class Csv(FileAnswer):
    """A table."""

    media_type = "text/csv"


@dataclass(frozen=True)
class Endpoint(Generic[Params, Values, Answered]):
    """One route."""

    method: Literal["GET", "POST"]
    path: str
    """Below the prefix of all routes."""
    handler: Callable[[Call[Params, Values]], Awaitable[Answered]] = field(repr=False)
    params: type[Params]
    given: type[Values]
    answer: type[Answered]
    status: HTTPStatus
    """Of an answer that is no error."""
    who: Who
    max_bytes: int
    """Of a body."""

    @property
    def name(self) -> str:
        """Return the handler's name, which is unique among all routes."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """Return the first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]


def endpoint(
    method: Literal["GET", "POST"],
    path: str,
    *,
    answer: type[Answered],
    params: type[Params] | None = None,
    query: type[Values] | None = None,
    body: type[Values] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
    who: Who = Who.PAGE,
    max_bytes: int = BODY_MAX_BYTES,
) -> Callable[[Callable[[Call[Params, Values]], Awaitable[Answered]]], Endpoint[Params, Values, Answered]]:
    """Make a handler an `Endpoint`; the first line of its docstring is the summary in the OpenAPI document.

    Args:
        method: what changes something, or needs a body, is a POST: a cross-site page cannot send it as JSON.
        path: below `/kling_once`, with the fields of `params` in braces.
        answer: the model of the JSON object, or the type of the file, that the handler returns.
        params: the model of the path's parameters.
        query: of a GET.
        body: of a POST; the body is always a JSON object.
        status: of the answer.
        who: `Who.LOCAL` for what changes keys, limits or memory; the body is a `WithCode` then.
        max_bytes: the largest body.
    """
    if (query if method == "POST" else body) is not None:
        raise TypeError(f"{method} {path}: a GET has a query, a POST a body")
    of_path: type[Any] = params or Nothing
    given: type[Any] = query or body or Nothing
    if set(re.findall(r"{(\w+)}", path)) != set(of_path.model_fields):
        raise TypeError(f"{path} and {of_path.__name__} name different parameters")
    if (who is Who.LOCAL) is not issubclass(given, WithCode):
        raise TypeError(f"{path}: a body with a one-time code is for Who.LOCAL, and for it alone")

    def declare(
        handler: Callable[[Call[Params, Values]], Awaitable[Answered]],
    ) -> Endpoint[Params, Values, Answered]:
        return Endpoint(method, path, handler, of_path, given, answer, status, who, max_bytes)

    return declare


def endpoints_of(*modules: ModuleType) -> tuple[Endpoint[Any, Any, Any], ...]:
    """Return the endpoints that modules declare, in their order."""
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Endpoint)
    )
