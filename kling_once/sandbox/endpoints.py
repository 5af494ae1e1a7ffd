"""The vendor's endpoints of both generations as documented, with the effects of scripted faults."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from aiohttp import web

from .calls import (
    BODY_MAX_BYTES,
    Call,
    begin_call,
    finish_call,
    shorten,
)
from .connection import (
    is_gone,
    origin_of,
    read_body,
    reset,
    respond,
)
from .elements import (
    DELETE_PATHS,
    ELEMENTS_PATH,
    PRESETS_PATH,
    accept_element,
    delete_element,
    element_draft,
    preset_views,
    read_element_order,
)
from .faults import (
    AFTER_ACCEPT,
    CREATES,
    OK,
    ON_A_TASK,
    Fault,
    give_back,
    instead_of_answer,
    instead_of_success,
    spoil_task,
    take_fault,
)
from .options import load_settings
from .rules import DAY_SECONDS, read_order
from .standard import (
    CREATE_PATHS,
    TASKS_PATH,
    read_ids,
    read_standard_order,
    read_window,
    standard_created_view,
    standard_strangers_view,
    standard_view,
)
from .task_view import created_view, query_view, strangers_view
from .tasks import (
    accept,
    check_unused,
    list_tasks,
    list_window,
    poll,
    units_spent,
)
from .wire import (
    INTERNAL_ERROR,
    INTERNAL_TIMEOUT,
    INVALID_METHOD,
    INVALID_PARAMETERS,
    INVALID_VALUE,
    NO_SUCH_RESOURCE,
    RESET,
    Refusal,
    Reply,
    check_authorization,
    clip,
    failure,
    success,
)

if TYPE_CHECKING:
    import sqlite3

    from .callbacks import Callbacks
    from .options import SandboxOptions
    from .references import Draft, Fetcher
    from .store import Store
    from .tasks import Change, Task

CREATE_PATH: Final = "/v1/videos/motion-control"
COSTS_PATH: Final = "/account/costs"
ROUTES: Final[dict[str, dict[str, str]]] = {
    CREATE_PATH: {"POST": "create", "GET": "list"},
    COSTS_PATH: {"GET": "costs"},
    TASKS_PATH: {"GET": "get", "POST": "list"},
    **{path: {"POST": "create"} for path in CREATE_PATHS},
    ELEMENTS_PATH: {"POST": "create-element", "GET": "list-elements"},
    PRESETS_PATH: {"GET": "list-presets"},
    **{path: {"POST": "delete-element"} for path in DELETE_PATHS},
}
"""The endpoint of each path, by method."""
PAGES: Final[dict[str, tuple[int, int] | None]] = {"pageNum": (1, 1000), "pageSize": (1, 500)}
DRAINED_MAX_BYTES: Final = 200_000_000
"""How far an oversized body is read: a client that is still sending may see a reset instead of the answer."""

NOT_TEXT: Final = b"\xff"
"""Stands for a body whose transfer encoding is broken: not UTF-8, so it is refused with 1200."""

PACK_UNITS: Final = 1000
PACK_MS: Final = 30 * DAY_SECONDS * 1000
"""How long ago the sandbox's resource pack was bought, and how long it is still valid."""

logger = logging.getLogger(__name__)


class Endpoints:
    """Answer vendor calls; each is logged before and after.

    Args:
        options: what the sandbox was started with.
        store: the state.
        fetcher: gets the reference files of a create.
        callbacks: announces changes of status.
    """

    def __init__(
        self,
        options: SandboxOptions,
        store: Store,
        fetcher: Fetcher,
        callbacks: Callbacks,
    ) -> None:
        self._options = options
        self._store = store
        self._fetcher = fetcher
        self._callbacks = callbacks

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer an HTTP request to any path that is not under `/sandbox/`."""
        try:
            body = await read_body(request, BODY_MAX_BYTES, DRAINED_MAX_BYTES)
        except web.RequestPayloadError:
            body = NOT_TEXT
        except ConnectionError:
            return reset(request)
        call = Call(
            method=request.method,
            raw_path=request.rel_url.raw_path,
            raw_query=request.rel_url.raw_query_string,
            query=tuple(request.query.items()),
            authorization=request.headers.get("Authorization"),
            content_type=request.headers.get("Content-Type"),
            body=body,
            origin=origin_of(request),
            is_gone=lambda: is_gone(request),
        )
        return respond(request, await self.answer(call))

    async def answer(self, call: Call) -> Reply:
        """Answer a call; an unexpected error becomes code 5000."""
        endpoint, identifier = _route(call)
        body, unreadable = await asyncio.to_thread(call.parse)
        number, fault = await self._store.write(_begin, call.method, call.shown_path, shorten(body), endpoint)
        try:
            reply = await self._reply(call, endpoint, identifier, unreadable or body, fault)
        except Refusal as refusal:
            reply = failure(refusal.code, refusal.message)
        except Exception:
            logger.exception("The sandbox failed at %s %s", call.method, endpoint)
            reply = failure(INTERNAL_ERROR)
        if call.is_gone():
            reply = RESET
        await self._store.write(finish_call, number, reply)
        return reply

    async def _reply(
        self, call: Call, endpoint: str | None, identifier: str, body: Any, fault: Fault
    ) -> Reply:
        spoiled = instead_of_answer(fault, endpoint)
        if spoiled is not None:
            return spoiled
        if fault.kind == "stall-S":
            await asyncio.sleep(fault.number)
            if endpoint in CREATES:
                return failure(INTERNAL_TIMEOUT)
        is_standard = call.raw_path in CREATE_PATHS or call.raw_path == TASKS_PATH
        check_authorization(call.authorization, self._options, api_key_alone=is_standard)
        if is_standard:
            answers = {
                "create": lambda: self._create(call, body, fault),
                "get": lambda: self._get_several(call, fault),
                "list": lambda: self._list_window(call, body, fault),
            }
        else:
            answers = {
                "create": lambda: self._create(call, body, fault),
                "get": lambda: self._get(call, identifier, fault),
                "list": lambda: self._list(call, fault),
                "costs": lambda: self._costs(call, fault),
                "create-element": lambda: self._create_element(call, body, fault),
                "get-element": lambda: self._get(call, identifier, fault, is_element=True),
                "list-elements": lambda: self._list(call, fault, are_elements=True),
                "list-presets": lambda: self._presets(call, fault),
                "delete-element": lambda: self._delete_element(call, body, fault),
            }
        if endpoint is not None:
            return await answers[endpoint]()
        if call.raw_path in ROUTES or call.raw_path.startswith((CREATE_PATH + "/", ELEMENTS_PATH + "/")):
            raise Refusal(INVALID_METHOD, f"{clip(call.method)} is not a method of this path")
        raise Refusal(NO_SUCH_RESOURCE, f"there is no {clip(call.raw_path)}")

    async def _create(self, call: Call, body: Any, fault: Fault) -> Reply:
        try:
            task, changes = await self._accepted(call, body, fault)
        except Refusal:
            if fault.kind in AFTER_ACCEPT:
                await self._store.write(give_back, fault)
            raise
        self._callbacks.announce(changes)
        if fault.kind == "stall-S-after-accept":
            await asyncio.sleep(fault.number)
        view = standard_created_view(task) if task.generation == "standard" else created_view(task)
        return instead_of_success(fault, success(spoil_task(fault, view)))

    async def _accepted(self, call: Call, body: Any, fault: Fault) -> tuple[Task, list[Change]]:
        _check_body(call, body)
        store, options = self._store, self._options
        settings = await store.read(load_settings, options)
        ignore = settings.unknown_fields == "ignore"
        model = CREATE_PATHS.get(call.raw_path)
        order = (
            read_standard_order(model, body, ignore_unknown=ignore)
            if model
            else read_order(body, ignore_unknown=ignore)
        )
        await store.read(check_unused, order.external_task_id, settings)
        draft = await self._fetcher.draft(order)

        def work(connection: sqlite3.Connection, draft: Draft) -> tuple[Task, list[Change]]:
            current = load_settings(connection, options)
            return accept(connection, draft, current, fault, options.now())

        return await store.write(work, draft)

    async def _create_element(self, call: Call, body: Any, fault: Fault) -> Reply:
        store, options = self._store, self._options
        try:
            _check_body(call, body)
            settings = await store.read(load_settings, options)
            order = read_element_order(body, ignore_unknown=settings.unknown_fields == "ignore")
            await store.read(check_unused, order.external_task_id, settings)
            draft = await element_draft(self._fetcher, order)

            def work(connection: sqlite3.Connection) -> Task:
                current = load_settings(connection, options)
                check_unused(connection, order.external_task_id, current)
                return accept_element(connection, draft, current, fault, options.now())

            task = await store.write(work)
        except Refusal:
            if fault.kind in AFTER_ACCEPT:
                await store.write(give_back, fault)
            raise
        if task.visible_at <= options.now():
            self._callbacks.announce([(task, task.status)])
        if fault.kind == "stall-S-after-accept":
            await asyncio.sleep(fault.number)
        return instead_of_success(fault, success(spoil_task(fault, created_view(task))))

    async def _delete_element(self, call: Call, body: Any, fault: Fault) -> Reply:
        _check_body(call, body)
        return instead_of_success(fault, success(await self._store.write(delete_element, body)))

    async def _presets(self, call: Call, fault: Fault) -> Reply:
        numbers = _check_query(call, PAGES)
        page, size = numbers.get("pageNum", 1), numbers.get("pageSize", 30)
        views = preset_views(call.origin, int(self._options.now() * 1000))
        return instead_of_success(fault, success(views[(page - 1) * size : page * size]))

    async def _get(self, call: Call, identifier: str, fault: Fault, *, is_element: bool = False) -> Reply:
        _check_query(call, {})
        options = self._options
        if fault.kind == "wrong-owner":
            return success(strangers_view(identifier, int(options.now() * 1000)))

        def work(connection: sqlite3.Connection) -> tuple[Task, list[Change]] | None:
            transitions = load_settings(connection, options).transitions
            found = poll(connection, identifier, transitions, options.now(), is_element=is_element)
            if found is None and fault.kind in ON_A_TASK:
                give_back(connection, fault)
            return found

        found = await self._store.write(work)
        if found is None:
            raise _not_found(identifier)
        task, changes = found
        self._callbacks.announce(changes)
        if fault.kind == "not-found-once":
            raise _not_found(identifier)
        view = query_view(task, call.origin)
        if fault.kind == "unknown-status":
            view = created_view(task) | {"task_status": "reviewing"}
        return instead_of_success(fault, success(spoil_task(fault, view)))

    async def _get_several(self, call: Call, fault: Fault) -> Reply:
        column, ids = read_ids(call.query)
        options = self._options
        if fault.kind == "wrong-owner":
            stranger = standard_strangers_view(int(options.now() * 1000))
            return success([stranger])

        def work(connection: sqlite3.Connection) -> tuple[list[Task], list[Change]]:
            transitions = load_settings(connection, options).transitions
            found = [poll(connection, name, transitions, options.now(), column) for name in ids]
            there = [item for item in found if item is not None]
            if not there and fault.kind in ON_A_TASK:
                give_back(connection, fault)
            return [task for task, _ in there], [change for _, changes in there for change in changes]

        tasks, changes = await self._store.write(work)
        self._callbacks.announce(changes)
        if fault.kind == "not-found-once":
            tasks = []
        views = [standard_view(task, call.origin) for task in tasks]
        if fault.kind == "unknown-status":
            views = [view | {"status": "reviewing", "outputs": [], "billing": []} for view in views]
        return instead_of_success(fault, success([spoil_task(fault, view) for view in views]))

    async def _list_window(self, call: Call, body: Any, fault: Fault) -> Reply:
        _check_body(call, body)
        window = read_window(body)
        options = self._options

        def work(connection: sqlite3.Connection) -> tuple[list[Task], bool, list[Change]]:
            settings = load_settings(connection, options)
            return list_window(connection, window, settings.transitions, options.now())

        tasks, has_more, changes = await self._store.write(work)
        self._callbacks.announce(changes)
        data = {
            "result": [spoil_task(fault, standard_view(task, call.origin)) for task in tasks],
            "count": len(tasks),
            "next_cursor": str(tasks[-1].n) if has_more else "",
            "has_more": has_more,
        }
        return instead_of_success(fault, success(data))

    async def _list(self, call: Call, fault: Fault, *, are_elements: bool = False) -> Reply:
        numbers = _check_query(call, PAGES)
        page, size = numbers.get("pageNum", 1), numbers.get("pageSize", 30)
        options = self._options

        def work(connection: sqlite3.Connection) -> tuple[list[Task], list[Change]]:
            settings = load_settings(connection, options)
            return list_tasks(
                connection, page, size, settings.transitions, options.now(), are_elements=are_elements
            )

        tasks, changes = await self._store.write(work)
        self._callbacks.announce(changes)
        shown = [spoil_task(fault, query_view(task, call.origin)) for task in tasks]
        return instead_of_success(fault, success(shown))

    async def _costs(self, call: Call, fault: Fault) -> Reply:
        numbers = _check_query(
            call, {"start_time": (0, 2**63), "end_time": (0, 2**63), "resource_pack_name": None}
        )
        missing = [name for name in ("start_time", "end_time") if name not in numbers]
        if missing:
            raise Refusal(INVALID_VALUE, "; ".join(f"{name}: is required" for name in missing))
        spent = await self._store.read(units_spent)
        wanted = dict(call.query).get("resource_pack_name")
        packs = [_pack(float(spent), int(self._options.now() * 1000))]
        shown = [pack for pack in packs if wanted in {None, pack["resource_pack_name"]}]
        answer = {"code": 0, "msg": "success", "resource_pack_subscribe_infos": shown}
        return instead_of_success(fault, success(answer))


def _route(call: Call) -> tuple[str | None, str]:
    """Return the name of a call's endpoint, None without one, and the id in its path."""
    if call.raw_path in ROUTES:
        return ROUTES[call.raw_path].get(call.method), ""
    for path, endpoint in ((CREATE_PATH, "get"), (ELEMENTS_PATH, "get-element")):
        identifier = call.raw_path.removeprefix(path + "/")
        if identifier and identifier != call.raw_path and "/" not in identifier and call.method == "GET":
            return endpoint, unquote(identifier).encode("utf-8", "replace").decode()
    return None, ""


def _check_body(call: Call, body: Any) -> None:
    """Raise the refusal of a body that is not JSON or does not say so."""
    if isinstance(body, Refusal):
        raise body
    kind = (call.content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(INVALID_PARAMETERS, f"Content-Type must be application/json, got {clip(kind)}")


def _begin(
    connection: sqlite3.Connection, method: str, path: str, body: Any, endpoint: str | None
) -> tuple[int, Fault]:
    number = begin_call(connection, method, path, body)
    return number, OK if endpoint is None else take_fault(connection, endpoint)


def _check_query(call: Call, known: dict[str, tuple[int, int] | None]) -> dict[str, int]:
    """Check the query fields of a call.

    Args:
        call: the call.
        known: the range of each integer field, None for a text.

    Returns:
        The integer fields.

    Raises:
        Refusal: code 1201; a field is unknown, given twice, or out of its range.
    """
    problems, numbers, seen = [], {}, set()
    for name, value in call.query:
        if name not in known:
            problems.append(f"{clip(name)}: unknown query field")
        elif name in seen:
            problems.append(f"{name}: is given twice")
        elif (span := known[name]) is not None:
            number = int(value) if re.fullmatch(r"[0-9]{1,19}", value) else -1
            if not span[0] <= number <= span[1]:
                problems.append(f"{name}: must be an integer of {span[0]} to {span[1]}, got {clip(value)}")
            numbers[name] = number
        seen.add(name)
    if problems:
        raise Refusal(INVALID_VALUE, "; ".join(problems[:30]))
    return numbers


def _not_found(identifier: str) -> Refusal:
    return Refusal(INVALID_VALUE, f"Task not found by id/external id: {clip(identifier)[1:-1]}")


def _pack(spent: float, now_ms: int) -> dict[str, Any]:
    """Return the one resource pack of the sandbox's account."""
    return {
        "resource_pack_name": "Sandbox video pack - 1000 units",
        "resource_pack_id": "sandbox-pack-1",
        "resource_pack_type": "decreasing_total",
        "total_quantity": float(PACK_UNITS),
        "remaining_quantity": max(0.0, PACK_UNITS - spent),
        "purchase_time": now_ms - PACK_MS,
        "effective_time": now_ms - PACK_MS,
        "invalid_time": now_ms + PACK_MS,
        "status": "online",
    }
