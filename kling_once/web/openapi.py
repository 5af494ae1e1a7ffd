"""The OpenAPI 3.1 document of the page's routes, made from the endpoints and their models."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from . import PREFIX
from .answers import ApiFailure, Failure, InputFailure
from .app import ENDPOINTS
from .endpoint import FileAnswer, Who

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

    from .endpoint import Endpoint

    AnyEndpoint = Endpoint[Any, Any, Any]

REFERENCE: Final = "#/components/schemas/{model}"
REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body is not a JSON object.",
    HTTPStatus.FORBIDDEN: "A page of another origin, or a change that only this machine may make.",
    HTTPStatus.NOT_FOUND: "Nobody knows it, or it is not here.",
    HTTPStatus.CONFLICT: "It contradicts how things stand, such as a key that is there already.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value is not of its kind.",
    HTTPStatus.BAD_GATEWAY: "Kling refused, or gave no readable answer.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The ledger or the disk cannot be used.",
}
OF_A_BODY: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)
FAILURES: Final[dict[HTTPStatus, tuple[type[Failure], ...]]] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: (Failure, InputFailure),
    HTTPStatus.BAD_GATEWAY: (Failure, ApiFailure),
}
"""What is answered with a status, where that is more than a `Failure`."""


class _Untitled(GenerateJsonSchema):
    """JSON Schema without a title for each field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's own signature
        """Return False."""
        return False


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        version: of the package.
    """
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = dict.fromkeys(
        [(model, "serialization") for model in (Failure, InputFailure, ApiFailure)]
    )
    for one in ENDPOINTS:
        wanted |= dict.fromkeys([(one.params, "validation"), (one.given, "validation")])
        if not issubclass(one.answer, FileAnswer):
            wanted[one.answer, "serialization"] = None
    _references, schemas = models_json_schema(
        list(wanted), ref_template=REFERENCE, schema_generator=_Untitled
    )
    paths: dict[str, Any] = {}
    for one in ENDPOINTS:
        operation = _operation(one)
        paths.setdefault(PREFIX + one.path, {})[one.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kling Once in ComfyUI",
            "version": version,
            "description": "What ComfyUI's page asks of Kling Once. Each path is also served under /api.",
        },
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "responses": _refusals()},
    }


def text(version: str) -> str:
    """Return the document as it lies in `docs/openapi.json`."""
    return json.dumps(document(version), indent=1, sort_keys=True) + "\n"


def _operation(one: AnyEndpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": _parameters(one.params, "path"),
        "responses": _responses(one),
    }
    if one.who is Who.LOCAL:
        operation["description"] = "From this machine alone, or with a code of `kling-once keys allow`."
    if one.method == "GET":
        operation["parameters"] += _parameters(one.given, "query")
    else:
        operation["requestBody"] = {"required": True, "content": _json_of(one.given)}
    return operation


def _responses(one: AnyEndpoint) -> dict[str, Any]:
    if issubclass(one.answer, FileAnswer):
        content = {one.answer.media_type: {"schema": {"type": "string"}}}
    else:
        content = _json_of(one.answer)
    possible = [status for status in REFUSALS if one.method == "POST" or status not in OF_A_BODY]
    refusals = {str(status.value): {"$ref": f"#/components/responses/{_name(status)}"} for status in possible}
    return {str(one.status.value): {"description": "Done.", "content": content}} | refusals


def _refusals() -> dict[str, Any]:
    return {
        _name(status): {"description": meaning, "content": _json_of(*FAILURES.get(status, (Failure,)))}
        for status, meaning in REFUSALS.items()
    }


def _name(status: HTTPStatus) -> str:
    """Return a component's name; those of `HTTPStatus` differ between versions of Python."""
    return f"Error{status.value}"


def _json_of(*models: type[BaseModel]) -> dict[str, Any]:
    references = [{"$ref": REFERENCE.format(model=model.__name__)} for model in models]
    return {"application/json": {"schema": references[0] if len(references) == 1 else {"anyOf": references}}}


def _parameters(model: type[BaseModel], place: str) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=REFERENCE, schema_generator=_Untitled)
    return [
        {"name": name, "in": place, "required": name in schema.get("required", ()), "schema": of_field}
        for name, of_field in schema.get("properties", {}).items()
    ]
