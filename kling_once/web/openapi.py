"""The OpenAPI description of the page's routes, made from the endpoints themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from .endpoints import ENDPOINTS
from .requests import JOB_KEY, model_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .endpoints import Endpoint

REFUSALS: Final = {
    "400": "The body is not a JSON object.",
    "403": "A page of another origin, or a change that only this machine may make.",
    "404": "Nobody knows it, or it is not here.",
    "405": "This path takes another method.",
    "409": "It contradicts how things stand, such as a key that is there already.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "422": "A value is not of its kind.",
    "502": "Kling refused, or gave no readable answer.",
    "503": "The ledger or the disk cannot be used.",
}
OF_GET: Final = frozenset({"403", "404", "409", "422", "502", "503"})
ERROR: Final = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "hint": {"type": ["string", "null"]},
        "task_id": {"type": ["string", "null"]},
    },
}


def document(version: str) -> dict[str, Any]:
    """Return the description."""
    schemas: dict[str, Any] = {"Error": ERROR}
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kling Once in ComfyUI",
            "version": version,
            "description": "What ComfyUI's page asks of Kling Once. Each path is also served under /api.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def text(version: str) -> str:
    """Return the description as it lies in `docs/openapi.json`."""
    return json.dumps(document(version), indent=1, sort_keys=True) + "\n"


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint.query)],
        "responses": _responses(endpoint),
    }
    if endpoint.is_trusted:
        operation["description"] = "From this machine alone, or with a code of `kling-once keys allow`."
    if endpoint.body:
        name = endpoint.body
        schemas[name] = _schema(model_of(name))
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
        }
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    schema = {"type": "object"} if endpoint.answers == "application/json" else {"type": "string"}
    done = {"description": "Done.", "content": {endpoint.answers: {"schema": schema}}}
    refusals = {
        status: {
            "description": meaning,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, meaning in REFUSALS.items()
        if endpoint.method == "POST" or status in OF_GET
    }
    return {"200": done, "202": done, **refusals}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if not endpoint.is_of_a_job:
        return []
    schema = {"type": "string", "pattern": JOB_KEY}
    return [{"name": "job_key", "in": "path", "required": True, "schema": schema}]


def _query_parameters(name: str) -> list[dict[str, Any]]:
    properties = _schema(model_of(name))["properties"] if name else {}
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's schema with everything that it refers to written in place."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                named = parts[value["$ref"].rsplit("/", 1)[1]]
                return whole(named | {key: one for key, one in value.items() if key != "$ref"})
            return {key: whole(one) for key, one in value.items() if key != "title"}
        return [whole(one) for one in value] if isinstance(value, list) else value

    return {"properties": {}} | whole(schema)
