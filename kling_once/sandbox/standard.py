"""The standard generation of the vendor's API: its create, its tasks, and its two ways of asking for them.

Written from the pages of both snapshots of 2026-09 and 2026-11 alone. Where they are silent, the choice is
stated beside the rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .elements import element_outputs
from .rules import (
    FRAMES_PER_SECOND,
    LONGEST_ID,
    MEGABYTE,
    MODELS,
    Model,
    Order,
    check_callback,
    check_image,
    check_prompt,
    check_text,
    check_url,
    kind_of,
    one_of,
)
from .task_view import result_url
from .wire import INVALID_VALUE, Refusal, clip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .tasks import Task

CREATE_PATHS: Final = {model.standard_path: model for model in MODELS}
TASKS_PATH: Final = "/tasks"
IMAGE_MAX_BYTES: Final = 50 * MEGABYTE
MOST_IDS: Final = 20
MOST_TASKS: Final = 500
STATUSES: Final = {
    "submitted": "submitted",
    "processing": "processing",
    "succeed": "succeeded",
    "failed": "failed",
}
"""What the legacy generation and this one call a status."""

Check = dict[str, tuple[bool, "Callable[[Any], str | None]"]]


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"must be a boolean, got {kind_of(value)}"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else f"must be an object, got {kind_of(value)}"


def _array(value: Any) -> str | None:
    return None if isinstance(value, list) else f"must be an array, got {kind_of(value)}"


def _element_id(value: Any) -> str | None:
    right = isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,18}", value) and int(value) <= LONGEST_ID
    return None if right else f"must be a string of digits, got {kind_of(value)}"


BODY: Final[Check] = {"contents": (True, _array), "settings": (True, _object), "options": (False, _object)}
CONTENTS: Final[dict[str, Check]] = {
    "prompt": {"text": (True, check_prompt)},
    "image": {"url": (True, lambda value: check_image(value, IMAGE_MAX_BYTES))},
    "video": {"url": (True, check_url)},
    "element": {"element_id": (True, _element_id), "id": (True, check_text)},
}
SETTINGS: Final[Check] = {
    "character_orientation": (True, one_of("image", "video")),
    "audio": (False, one_of("original", "off")),
    "resolution": (False, one_of("720p", "1080p")),
}
OPTIONS: Final[Check] = {
    "callback_url": (False, check_callback),
    "external_task_id": (False, check_text),
    "watermark_info": (False, _object),
}
WATERMARK: Final[Check] = {"enabled": (False, _boolean)}


class _Problems:
    """What is wrong with a body, field by field."""

    def __init__(self, *, ignore_unknown: bool) -> None:
        self._ignore_unknown = ignore_unknown
        self.found: list[str] = []

    def add(self, text: str) -> None:
        self.found.append(text)

    def fields(self, value: Any, known: Check, place: str) -> dict[str, Any]:
        """Check the fields of an object; return those that are right."""
        if not isinstance(value, dict):
            return {}
        right = {}
        if not self._ignore_unknown:
            self.found += [f"{place}{clip(name)}: unknown field" for name in value if name not in known]
        for name, (required, check) in known.items():
            if name in value:
                wrong = check(value[name])
                if wrong is None:
                    right[name] = value[name]
                else:
                    self.add(f"{place}{name}: {wrong}")
            elif required:
                self.add(f"{place}{name}: is required")
        return right


def read_standard_order(model: Model, body: Any, *, ignore_unknown: bool = False) -> Order:
    """Check every field of a create.

    Not documented and decided here: two items of one type are refused, as is an element without the model
    3.0; empty texts mean none.

    Raises:
        Refusal: code 1201; the message names every field that is wrong, up to 30.
    """
    if not isinstance(body, dict):
        raise Refusal(INVALID_VALUE, f"the request body must be a JSON object, got {kind_of(body)}")
    problems = _Problems(ignore_unknown=ignore_unknown)
    top = problems.fields(body, BODY, "")
    contents = _contents(top.get("contents", []), model, problems)
    settings = problems.fields(top.get("settings"), SETTINGS, "settings.")
    options = problems.fields(top.get("options"), OPTIONS, "options.")
    mark = problems.fields(options.get("watermark_info"), WATERMARK, "options.watermark_info.")
    if problems.found:
        raise Refusal(INVALID_VALUE, "; ".join(problems.found[:30]))
    return Order(
        model_name=model.name,
        mode="pro" if settings.get("resolution") == "1080p" else "std",
        character_orientation=settings["character_orientation"],
        image_url=contents["image"]["url"],
        video_url=contents["video"]["url"],
        prompt=contents.get("prompt", {}).get("text", ""),
        keep_original_sound=settings.get("audio", "original") == "original",
        watermark=mark.get("enabled", False),
        element_id=int(contents["element"]["element_id"]) if "element" in contents else None,
        callback_url=options.get("callback_url") or None,
        external_task_id=options.get("external_task_id") or None,
        generation="standard",
        image_max_bytes=IMAGE_MAX_BYTES,
    )


def _contents(items: list[Any], model: Model, problems: _Problems) -> dict[str, dict[str, Any]]:
    """Return the items of `contents` by their type."""
    found: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(items):
        place = f"contents[{number}]."
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in CONTENTS:
            problems.add(f"{place}type: must be one of {', '.join(CONTENTS)}")
            continue
        if kind in found:
            problems.add(f"{place}type: there can be one {kind} at most")
        if kind == "element" and not model.takes_element:
            problems.add(f"{place}type: this model takes no element")
        fields = {name: value for name, value in item.items() if name != "type"}
        found[kind] = problems.fields(fields, CONTENTS[kind], place)
    for kind in ("image", "video"):
        if kind not in found:
            problems.add(f"contents: an item of type {kind} is required")
    return found


def standard_created_view(task: Task) -> dict[str, Any]:
    """Return a task as the answer to its create."""
    return {
        "id": task.task_id,
        "status": "submitted",
        "create_time": task.created_ms,
        "update_time": task.created_ms,
        "external_id": task.external_id or "",
    }


def standard_view(task: Task, origin: str) -> dict[str, Any]:
    """Return a task as queries and callbacks show it, with result URLs at `origin`."""
    outputs = element_outputs(task, origin)
    if task.status == "succeed" and task.element is None:
        seconds = f"{task.frames / FRAMES_PER_SECOND:.3f}".rstrip("0").rstrip(".")
        video = {
            "type": "video",
            "id": f"{int(task.task_id) + 1}",
            "url": result_url(origin, task, task.result_name),
            "duration": seconds,
        }
        if task.watermark:
            video["watermark_url"] = result_url(origin, task, task.watermark_name)
        outputs = [video]
    return standard_created_view(task) | {
        "status": STATUSES[task.status],
        "message": task.message,
        "update_time": task.updated_ms,
        "outputs": outputs,
        "billing": _billing(task),
    }


def standard_strangers_view(now_ms: int) -> dict[str, Any]:
    """Return another customer's task, as the fault `wrong-owner` answers."""
    return {
        "id": "899999999999999999",
        "status": "processing",
        "message": "",
        "create_time": now_ms,
        "update_time": now_ms,
        "external_id": "somebody-elses-name",
        "outputs": [],
        "billing": [],
    }


def _billing(task: Task) -> list[dict[str, Any]]:
    """Return what a task cost; the page gives `amount` in units or in money by `charge_type`."""
    if not task.charged or task.charge == "none":
        return []
    amount = task.amount
    if task.is_charged_in_cash:
        cash_type = "test_balance" if task.charge == "test-balance" else "balance"
        currency = "CNY" if task.charge == "cash-cny" else "USD"
        cash = {"charge_type": "cash", "cash_type": cash_type, "currency": currency}
        return [cash | {"amount": amount, "list_price": amount}]
    return [{"charge_type": "unit", "package_type": "video", "amount": amount}]


def read_ids(query: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """Read the query of `GET /tasks`.

    Returns:
        The column of the ids, and the ids, each once.

    Raises:
        Refusal: code 1201.
    """
    columns = {"task_ids": "task_id", "external_task_ids": "external_id"}
    given = dict(query)
    if unknown := [clip(name) for name in given if name not in columns]:
        raise Refusal(INVALID_VALUE, f"{', '.join(unknown)}: unknown query field")
    named = [name for name in columns if given.get(name)]
    if not named:
        raise Refusal(INVALID_VALUE, "task_ids or external_task_ids is required")
    if len(named) > 1 or len(query) > 1:
        raise Refusal(INVALID_VALUE, "only one of task_ids and external_task_ids can be given, once")
    ids = list(dict.fromkeys(filter(None, given[named[0]].split(","))))
    if len(ids) > MOST_IDS:
        raise Refusal(INVALID_VALUE, f"{named[0]}: at most {MOST_IDS} ids, got {len(ids)}")
    return columns[named[0]], ids


@dataclass(frozen=True)
class Window:
    """Which tasks `POST /tasks` lists, newest first.

    Attributes:
        start_ms: earliest time of creation.
        end_ms: latest time of creation.
        before: number of the last task of the page before; None for the first page.
        limit: tasks on a page.
        statuses: legacy names of the statuses that are listed.
        is_video: whether tasks of videos alone are listed.
        is_known: whether tasks of any product that this sandbox has are listed.
    """

    start_ms: int
    end_ms: int
    before: int | None
    limit: int
    statuses: tuple[str, ...]
    is_video: bool
    is_known: bool


def read_window(body: Any) -> Window:
    """Read the body of `POST /tasks`.

    Not documented and decided here: every field may be left out; times are milliseconds as numbers or as
    digits; the default limit is 30; the task of an element is of no `product_type`.

    Raises:
        Refusal: code 1201.
    """
    problems = _Problems(ignore_unknown=False)
    if not isinstance(body, dict):
        raise Refusal(INVALID_VALUE, f"the request body must be a JSON object, got {kind_of(body)}")
    known: Check = {
        "start_time": (False, _whole),
        "end_time": (False, _whole),
        "cursor": (False, _cursor),
        "limit": (False, _limit),
        "filters": (False, _filters),
    }
    right = problems.fields(body, known, "")
    if problems.found:
        raise Refusal(INVALID_VALUE, "; ".join(problems.found[:30]))
    chosen = {item["key"]: item["values"] for item in right.get("filters", [])}
    wanted = chosen.get("status", list(STATUSES.values()))
    return Window(
        start_ms=int(right.get("start_time") or 0),
        end_ms=int(right.get("end_time") or LONGEST_ID),
        before=int(right["cursor"]) if right.get("cursor") else None,
        limit=right.get("limit", 30),
        statuses=tuple(legacy for legacy, name in STATUSES.items() if name in wanted),
        is_video="product_type" in chosen,
        is_known="video" in chosen.get("product_type", ["video"]),
    )


def _whole(value: Any) -> str | None:
    right = not isinstance(value, bool) and re.fullmatch(r"[0-9]{0,18}", str(value))
    return None if right and isinstance(value, int | str) else "must be milliseconds since 1970"


def _cursor(value: Any) -> str | None:
    right = isinstance(value, str) and re.fullmatch(r"[0-9]{0,18}", value)
    return None if right else "is no cursor of an answer"


def _limit(value: Any) -> str | None:
    return None if type(value) is int and 1 <= value <= MOST_TASKS else f"must be 1 to {MOST_TASKS}"


def _filters(value: Any) -> str | None:
    right = isinstance(value, list) and all(
        isinstance(item, dict)
        and set(item) == {"key", "values"}
        and item["key"] in ("status", "product_type")
        and isinstance(item["values"], list)
        for item in value
    )
    return None if right else "entries have a key (status or product_type) and values"
