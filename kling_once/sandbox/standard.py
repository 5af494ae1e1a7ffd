"""The vendor's second API generation over the same tasks: its creates, its queries, its form of a task.

Written from the documentation alone (pages of September 2026). Where it is silent, the choice is stated
beside the rule.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .rules import MEGABYTE, Order, read_order
from .wire import AUTHORIZATION_INVALID, INVALID_VALUE, Refusal, clip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CREATE_PATHS: Final = {"/motion-control/kling-2.6": "kling-v2-6", "/motion-control/kling-3.0": "kling-v3"}
TASKS_PATH: Final = "/tasks"
IMAGE_MAX_BYTES: Final = 50 * MEGABYTE
IDS_MAX: Final = 20
LIMIT_MAX: Final = 500
LIMIT_DEFAULT: Final = 100
ELEMENT_ID: Final = re.compile(r"[0-9]{1,19}")

NO_KEY_PAIRS: Final = "The current API does not support AK/SK; please go to the console to create an API key."
RESOLUTIONS: Final = {"720p": "std", "1080p": "pro"}
SOUNDS: Final = {"original": "yes", "off": "no"}
STATUSES: Final = {"succeed": "succeeded"}
PARTS: Final = {"contents", "settings", "options"}
SETTINGS: Final = {"character_orientation", "audio", "resolution"}
OPTIONS: Final = {"callback_url", "external_task_id", "watermark_info"}
CONTENT_FIELDS: Final = {
    "prompt": {"type", "text"},
    "image": {"type", "url"},
    "video": {"type", "url"},
    "element": {"type", "element_id", "id"},
}
"""The fields of each kind of content."""


def refuse_key_pair(authorization: str | None, api_key: str) -> None:
    """Check that a call was made with an API key: the generation knows no access keys.

    Raises:
        Refusal: code 1002; the header holds a token that an access key signed.
    """
    token = (authorization or "").partition(" ")[2]
    if token != api_key and token.count(".") == 2:  # noqa: PLR2004 - header.payload.signature
        raise Refusal(AUTHORIZATION_INVALID, NO_KEY_PAIRS)


def read_standard_order(body: Any, model_name: str, *, ignore_unknown: bool = False) -> Order:
    """Check every field of a create and return it as the same order that the first generation makes.

    Not documented and decided here: a kind of content may be given once; an element's `id` may be any text
    that is not empty; an empty prompt is refused, since `text` is marked as required; null is a wrong type.

    Raises:
        Refusal: code 1201; the message names every field that is wrong.
    """
    if not isinstance(body, dict):
        raise Refusal(INVALID_VALUE, "the request body must be a JSON object")
    problems = (
        [] if ignore_unknown else [f"{clip(name)}: unknown field" for name in body if name not in PARTS]
    )
    contents = _contents(body.get("contents"), model_name, problems, ignore_unknown=ignore_unknown)
    settings = _object(body, "settings", SETTINGS, problems, ignore_unknown=ignore_unknown)
    options = _object(body, "options", OPTIONS, problems, ignore_unknown=ignore_unknown)
    flat: dict[str, Any] = options | {
        "model_name": model_name,
        "mode": _choice(settings, "resolution", "720p", RESOLUTIONS, problems),
        "keep_original_sound": _choice(settings, "audio", "original", SOUNDS, problems),
    }
    if "character_orientation" in settings:
        flat["character_orientation"] = settings["character_orientation"]
    for kind, name in (("prompt", "prompt"), ("image", "image_url"), ("video", "video_url")):
        field = "text" if kind == "prompt" else "url"
        if field in contents.get(kind, {}):
            flat[name] = contents[kind][field]
    if element := contents.get("element"):
        flat["element_list"] = [{"element_id": int(element["element_id"])}]
    if problems:
        raise Refusal(INVALID_VALUE, "; ".join(problems[:30]))
    return read_order(flat, ignore_unknown=ignore_unknown, image_max_bytes=IMAGE_MAX_BYTES)


def _contents(
    value: Any, model_name: str, problems: list[str], *, ignore_unknown: bool
) -> dict[str, dict[str, Any]]:
    if not isinstance(value, list):
        problems.append("contents: is required and must be an array")
        return {}
    found: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(value):
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in CONTENT_FIELDS:
            problems.append(f"contents[{number}].type: must be one of {', '.join(CONTENT_FIELDS)}")
        elif kind in found:
            problems.append(f"contents[{number}]: a second {kind}")
        else:
            found[kind] = item
            names = [] if ignore_unknown else [name for name in item if name not in CONTENT_FIELDS[kind]]
            problems += [f"contents[{number}].{clip(name)}: unknown field" for name in names]
    for kind in ("image", "video"):
        if kind not in found:
            problems.append(f"contents: needs an item of the type {kind}")
    if "prompt" in found and not found["prompt"].get("text"):
        problems.append("contents: the prompt's text is required; leave the item out without one")
    if element := found.get("element"):
        problems += _element_problems(element, model_name)
    return found


def _element_problems(element: dict[str, Any], model_name: str) -> list[str]:
    problems = []
    if model_name != "kling-v3":
        problems.append("contents: kling-2.6 has no content of the type element")
    number = element.get("element_id")
    if not isinstance(number, str) or not ELEMENT_ID.fullmatch(number) or not 0 < int(number) < 2**63:
        problems.append("contents: element_id must be an element's number as a string")
        element["element_id"] = "1"
    if not isinstance(element.get("id"), str) or not element["id"]:
        problems.append("contents: an element needs an id, a string that is not empty")
    return problems


def _object(
    body: dict[str, Any], name: str, known: set[str], problems: list[str], *, ignore_unknown: bool
) -> dict[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        problems.append(f"{name}: must be an object")
        return {}
    if not ignore_unknown:
        problems += [f"{name}.{clip(field)}: unknown field" for field in value if field not in known]
    return {field: value[field] for field in value if field in known}


def _choice(
    settings: dict[str, Any], name: str, default: str, allowed: dict[str, str], problems: list[str]
) -> str:
    value = settings.get(name, default)
    if not isinstance(value, str) or value not in allowed:
        problems.append(f"settings.{name}: must be one of {', '.join(allowed)}")
        return allowed[default]
    return allowed[value]


def read_ids(query: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """Return which ids a query names, and the ids.

    Raises:
        Refusal: code 1201, unless it has exactly one of both lists, with 1 to 20 ids.
    """
    named = dict(query)
    unknown = [name for name in named if name not in {"task_ids", "external_task_ids"}]
    if unknown:
        raise Refusal(INVALID_VALUE, "; ".join(f"{clip(name)}: unknown query field" for name in unknown))
    given = [name for name in ("task_ids", "external_task_ids") if named.get(name)]
    if len(given) != 1 or len(named) != len(query):
        raise Refusal(INVALID_VALUE, "task_ids or external_task_ids is required")
    ids = [text for text in named[given[0]].split(",") if text]
    if not 1 <= len(ids) <= IDS_MAX:
        raise Refusal(INVALID_VALUE, f"{given[0]}: 1 to {IDS_MAX} ids, got {len(ids)}")
    return given[0], ids


def read_window(body: Any) -> tuple[int, int, Callable[[dict[str, Any]], bool]]:
    """Return offset, size and filter of a list.

    The cursor is the offset of the next page, as text. With one the window of time is ignored, as the page
    says.

    Raises:
        Refusal: code 1201; a field is unknown or out of its range.
    """
    if not isinstance(body, dict):
        raise Refusal(INVALID_VALUE, "the request body must be a JSON object")
    known = {"start_time", "end_time", "cursor", "limit", "filters"}
    problems = [f"{clip(name)}: unknown field" for name in body if name not in known]
    limit = body.get("limit", LIMIT_DEFAULT)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= LIMIT_MAX:
        problems.append(f"limit: must be 1 to {LIMIT_MAX}")
        limit = LIMIT_DEFAULT
    cursor = body.get("cursor") or "0"
    if not isinstance(cursor, str) or not re.fullmatch(r"[0-9]{1,9}", cursor):
        problems.append("cursor: is not one of ours")
        cursor = "0"
    filters = body.get("filters", [])
    wanted: dict[str, list[Any]] = {}
    for item in filters if isinstance(filters, list) else [filters]:
        entry = item if isinstance(item, dict) else {}
        if entry.get("key") in {"status", "product_type"} and isinstance(entry.get("values"), list):
            wanted[entry["key"]] = entry["values"]
        else:
            problems.append('filters: entries look like {"key": "status", "values": ["succeeded"]}')
    start, end = (_milliseconds(body.get(name), name, problems) for name in ("start_time", "end_time"))
    if problems:
        raise Refusal(INVALID_VALUE, "; ".join(problems[:30]))
    if body.get("cursor"):
        start = end = None

    def passes(view: dict[str, Any]) -> bool:
        return (
            view["status"] in wanted.get("status", [view["status"]])
            and "video" in wanted.get("product_type", ["video"])
            and (start is None or view["create_time"] >= start)
            and (end is None or view["create_time"] <= end)
        )

    return int(cursor), limit, passes


def _milliseconds(value: Any, name: str, problems: list[str]) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str | int) and re.fullmatch(r"[0-9]{1,16}", str(value)):
        return int(value)
    problems.append(f"{name}: must be milliseconds")
    return None


def standard_view(view: dict[str, Any]) -> dict[str, Any]:
    """Return a task of the first generation's form as this generation shows it."""
    shown: dict[str, Any] = {name: view[old] for name, old in (("id", "task_id"),) if old in view}
    shown |= {
        "status": STATUSES.get(view["task_status"], view["task_status"]),
        "message": view.get("task_status_msg", ""),
        "create_time": view["created_at"],
        "update_time": view["updated_at"],
        "external_id": view.get("task_info", {}).get("external_task_id", ""),
        "outputs": [{"type": "video"} | video for video in view.get("task_result", {}).get("videos", [])],
        "billing": _billing(view),
    }
    return shown


def created_standard_view(view: dict[str, Any]) -> dict[str, Any]:
    """Return a task as the answer to its create."""
    shown = standard_view(view)
    return {name: shown[name] for name in shown if name not in {"message", "outputs", "billing"}}


def _billing(view: dict[str, Any]) -> list[dict[str, Any]]:
    if "final_unit_deduction" in view:
        return [{"charge_type": "unit", "amount": view["final_unit_deduction"], "package_type": "video"}]
    if isinstance(cash := view.get("final_balance_deduction"), dict):
        entry = {"charge_type": "cash", "cash_type": "balance", "amount": cash["quota"], "currency": "USD"}
        return [entry | {"list_price": cash["list_price"]}]
    return []
