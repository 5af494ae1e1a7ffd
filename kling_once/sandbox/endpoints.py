"""The vendor's four paths, exactly as documented, and what a script of faults makes of them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from .faults import (
    AFTER_ACCEPT,
    OK,
    ON_A_TASK,
    Fault,
    give_back,
    instead_of_answer,
    instead_of_success,
    take_fault,
)
from .options import load_settings
from .rules import read_order
from .store import begin_call, finish_call, shorten
from .task_view import created_view, query_view, strangers_view
from .tasks import (
    accept,
    check_unused,
    list_tasks,
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
    parse_body,
    success,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from .backend import Backend
    from .tasks import Change, Draft, Task

CREATE_PATH: Final = "/v1/videos/motion-control"
COSTS_PATH: Final = "/account/costs"
BODY_MAX_BYTES: Final = 32_000_000
PACK_UNITS: Final = 1000
THIRTY_DAYS_MS: Final = 30 * 86_400_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One vendor call as it arrived; `body` is None where it was longer than `BODY_MAX_BYTES`."""

    method: str
    raw_path: str
    raw_query: str
    query: Sequence[tuple[str, str]]
    authorization: str | None
    content_type: str | None
    body: bytes | None
    link: Callable[[Task, str], str]
    is_gone: Callable[[], bool]


class Endpoints:
    """Answer vendor calls; every one is logged before and after."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def answer(self, call: Call) -> Reply:
        """Answer one call; whatever goes wrong inside becomes code 5000."""
        endpoint, identifier = _route(call)
        body, unreadable = await asyncio.to_thread(_read_body, call)
        number, fault = await self._backend.store.write(
            _begin, call.method, _shown_path(call), shorten(body), endpoint
        )
        try:
            reply = await self._reply(call, endpoint, identifier, unreadable or body, fault)
        except Refusal as refusal:
            reply = failure(refusal.code, refusal.message)
        except Exception:
            logger.exception("The sandbox failed at %s %s", call.method, endpoint)
            reply = failure(INTERNAL_ERROR)
        if call.is_gone():
            reply = RESET
        await self._backend.store.write(finish_call, number, reply)
        return reply

    async def _reply(
        self, call: Call, endpoint: str | None, identifier: str, body: Any, fault: Fault
    ) -> Reply:
        spoiled = instead_of_answer(fault, endpoint)
        if spoiled is not None:
            return spoiled
        if fault.kind == "stall-S":
            await asyncio.sleep(fault.number)
            if endpoint == "create":
                return failure(INTERNAL_TIMEOUT)
        check_authorization(call.authorization, self._backend.options)
        match endpoint:
            case "create":
                return await self._create(call, body, fault)
            case "get":
                return await self._get(call, identifier, fault)
            case "list":
                return await self._list(call)
            case "costs":
                return await self._costs(call)
        known = {CREATE_PATH, COSTS_PATH}
        if call.raw_path in known or call.raw_path.startswith(CREATE_PATH + "/"):
            raise Refusal(INVALID_METHOD, f"{clip(call.method)} is not a method of this path")
        raise Refusal(NO_SUCH_RESOURCE, f"there is no {clip(call.raw_path)}")

    async def _create(self, call: Call, body: Any, fault: Fault) -> Reply:
        try:
            task, changes = await self._accepted(call, body, fault)
        except Refusal:
            if fault.kind in AFTER_ACCEPT:
                await self._backend.store.write(give_back, fault)
            raise
        self._backend.announce(changes)
        if fault.kind == "stall-S-after-accept":
            await asyncio.sleep(fault.number)
        return instead_of_success(fault, success(created_view(task)))

    async def _accepted(self, call: Call, body: Any, fault: Fault) -> tuple[Task, list[Change]]:
        if isinstance(body, Refusal):
            raise body
        kind = (call.content_type or "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(INVALID_PARAMETERS, f"Content-Type must be application/json, got {clip(kind)}")
        order = read_order(body)
        store, options = self._backend.store, self._backend.options
        settings = await store.read(load_settings, options)
        await store.read(check_unused, order.external_task_id, settings)
        draft = await self._backend.fetcher.draft(order)

        def work(connection: sqlite3.Connection, draft: Draft) -> tuple[Task, list[Change]]:
            current = load_settings(connection, options)
            return accept(connection, draft, current, fault, options.now())

        return await store.write(work, draft)

    async def _get(self, call: Call, identifier: str, fault: Fault) -> Reply:
        _check_query(call, {})
        options = self._backend.options
        if fault.kind == "wrong-owner":
            return success(strangers_view(identifier, int(options.now() * 1000)))

        def work(connection: sqlite3.Connection) -> tuple[Task, list[Change]] | None:
            found = poll(
                connection, identifier, load_settings(connection, options).transitions, options.now()
            )
            if found is None and fault.kind in ON_A_TASK:
                give_back(connection, fault)
            return found

        found = await self._backend.store.write(work)
        if found is None:
            raise _not_found(identifier)
        task, changes = found
        self._backend.announce(changes)
        if fault.kind == "not-found-once":
            raise _not_found(identifier)
        view = query_view(task, call.link)
        if fault.kind == "unknown-status":
            view = created_view(task) | {"task_status": "reviewing"}
        return success(view)

    async def _list(self, call: Call) -> Reply:
        numbers = _check_query(call, {"pageNum": (1, 1000), "pageSize": (1, 500)})
        page, size = numbers.get("pageNum", 1), numbers.get("pageSize", 30)
        options = self._backend.options

        def work(connection: sqlite3.Connection) -> tuple[list[Task], list[Change]]:
            settings = load_settings(connection, options)
            return list_tasks(connection, page, size, settings.transitions, options.now())

        tasks, changes = await self._backend.store.write(work)
        self._backend.announce(changes)
        return success([query_view(task, call.link) for task in tasks])

    async def _costs(self, call: Call) -> Reply:
        numbers = _check_query(
            call, {"start_time": (0, 2**63), "end_time": (0, 2**63), "resource_pack_name": None}
        )
        missing = [name for name in ("start_time", "end_time") if name not in numbers]
        if missing:
            raise Refusal(INVALID_VALUE, "; ".join(f"{name}: is required" for name in missing))
        spent = await self._backend.store.read(units_spent)
        wanted = dict(call.query).get("resource_pack_name")
        packs = [_pack(float(spent), int(self._backend.options.now() * 1000))]
        shown = [pack for pack in packs if wanted in {None, pack["resource_pack_name"]}]
        return success({"code": 0, "msg": "success", "resource_pack_subscribe_infos": shown})


def _route(call: Call) -> tuple[str | None, str]:
    """Name the endpoint of a call, and the id in its path."""
    if call.raw_path == CREATE_PATH:
        return {"POST": "create", "GET": "list"}.get(call.method), ""
    if call.raw_path == COSTS_PATH:
        return ("costs" if call.method == "GET" else None), ""
    identifier = call.raw_path.removeprefix(CREATE_PATH + "/")
    if identifier and identifier != call.raw_path and "/" not in identifier and call.method == "GET":
        return "get", unquote(identifier).encode("utf-8", "replace").decode()
    return None, ""


def _shown_path(call: Call) -> str:
    """Give path and query for the log: cut, and with undecodable bytes escaped."""
    path = call.raw_path + (f"?{call.raw_query}" if call.raw_query else "")
    return shorten(path.encode("utf-8", "backslashreplace").decode())


def _read_body(call: Call) -> tuple[Any, Refusal | None]:
    """Read a body for the log and for the endpoint; blocking. One that cannot be read is described."""
    if call.body is None:
        refusal = Refusal(INVALID_VALUE, f"the request body is larger than {BODY_MAX_BYTES} bytes")
        return "<too large>", refusal
    if not call.body:
        return None, Refusal(INVALID_PARAMETERS, "the request body is empty")
    try:
        return parse_body(call.body), None
    except Refusal as refusal:
        digest = hashlib.sha256(call.body).hexdigest()
        return f"<unreadable, {len(call.body)} bytes, sha256 {digest}>", refusal


def _begin(
    connection: sqlite3.Connection, method: str, path: str, body: Any, endpoint: str | None
) -> tuple[int, Fault]:
    number = begin_call(connection, method, path, body)
    return number, OK if endpoint is None else take_fault(connection, endpoint)


def _check_query(call: Call, known: dict[str, tuple[int, int] | None]) -> dict[str, int]:
    """Check query fields: unknown and repeated ones are refused, and numbers out of their range."""
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
    """Describe the one resource pack of a sandbox account."""
    return {
        "resource_pack_name": "Sandbox video pack - 1000 units",
        "resource_pack_id": "sandbox-pack-1",
        "resource_pack_type": "decreasing_total",
        "total_quantity": float(PACK_UNITS),
        "remaining_quantity": max(0.0, PACK_UNITS - spent),
        "purchase_time": now_ms - THIRTY_DAYS_MS,
        "effective_time": now_ms - THIRTY_DAYS_MS,
        "invalid_time": now_ms + THIRTY_DAYS_MS,
        "status": "online",
    }
