"""The vendor's second API generation, `standard`, behind the calls of the first.

Source: the official pages of `POST /motion-control/...` and `/tasks` (September 2026). Both generations live
on one host; this one takes API keys alone. Its tasks become the same `Task` as those of the first.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..concurrency import first_of
from ..errors import ResourceMissing, vendor_text
from .client import Call, KlingClient, OtherTask, always, require_path_id
from .limits import Generation
from .models import Answer, Task, charge_of, is_empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from ..errors import ApiError
    from .client import Request

TASKS: Final = "/tasks"
REFERENCE_TYPES: Final = {
    "multi_image_elements": "image_refer",
    "video_character_elements": "video_refer",
}
"""`element_type` of this generation, and the `reference_type` of the element's create."""
IDS_PER_CALL: Final = 20
"""The most ids of one query; 21 are refused with 1201 (seen live, 2026-09)."""
GATHER_SECONDS: Final = 0.2
"""How long a look waits for others that are due at the same moment, at most."""


@dataclass
class StandardClient(KlingClient):
    """The API of the generation `standard` at one origin, used with one API key on one event loop."""

    generation: ClassVar[Generation] = Generation.STANDARD
    absent: ClassVar[tuple[type[ApiError], ...]] = (ResourceMissing,)

    _looks: Looks = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._looks = Looks(self)

    def close(self) -> None:
        """Look at nothing more."""
        self._looks.close()

    async def create(self, request: Request, may_send: Callable[[], bool] = always) -> Answer[Task]:
        """Create a task with one POST; as `KlingClient.create`."""
        path, content = request.standard_call()
        call = Call("POST", path, content=content, is_create=True, may_send=may_send)
        return self._made(self._read(await self._send(call), self._standard_task), request)

    async def get(self, any_id: str) -> Answer[Task]:
        """Return one task by task id or external task id; as `KlingClient.get`."""
        require_path_id(any_id)
        answer = await self.query("task_ids", [any_id])
        if not answer.value:
            return await self.find(any_id)
        return Answer(answer.value[0], answer.request_id, answer.server_time)

    async def find(self, external_id: str) -> Answer[Task]:
        """Return the task of an external task id.

        Raises:
            ResourceMissing: the vendor knows none: it answers with an empty list.
            InputRefused, ApiError, TransportError: as `get`.
        """
        require_path_id(external_id)
        answer = await self.query("external_task_ids", [external_id])
        found = sorted(answer.value, key=lambda task: task.task_info.external_task_id != external_id)
        if not found:
            raise self.missing(external_id, answer)
        return Answer(found[0], answer.request_id, answer.server_time)

    async def get_task(self, task_id: str, external_id: str = "") -> Answer[Task]:
        """Return the task of this task id; looks of one moment share a call of up to 20 ids.

        Raises:
            ResourceMissing: the vendor does not know it.
            OtherTask: the answer names another external id than `external_id`.
            InputRefused, ApiError, TransportError: as `get`.
        """
        require_path_id(task_id)
        try:
            answer = await self._looks.look(task_id)
        except ResourceMissing:
            if task_id.isdigit():
                raise
            answer = await self.find(task_id)  # an external id stands where the vendor's own is unusable
        if external_id and answer.value.task_info.external_task_id not in {"", external_id}:
            raise OtherTask(self.origin, task_id)
        return answer

    async def list(self, page: int = 1, page_size: int = 30) -> Answer[tuple[Task, ...]]:
        """Return one page of the account's video tasks of the last 30 days, of every endpoint.

        Args:
            page: 1 to 1000; a later page needs one call for each page before it.
            page_size: 1 to 500.

        Raises:
            ApiError: the API answered with a service code.
            TransportError: no readable answer.
        """
        answer = await self._page(page_size)
        for _ in range(page - 1):
            if not (cursor := _next_cursor(answer.value)):
                return Answer((), answer.request_id, answer.server_time)
            answer = await self._page(page_size, cursor)
        return self._read(answer, lambda data: tuple(map(self._standard_task, _items(data["result"]))))

    async def _page(self, size: int, cursor: str = "") -> Answer[Any]:
        body = {"limit": size, "filters": [{"key": "product_type", "values": ["video"]}]}
        return await self._send(
            Call("POST", TASKS, content=_encoded(body | {"cursor": cursor} if cursor else body))
        )

    async def query(self, kind: str, ids: Iterable[str]) -> Answer[tuple[Task, ...]]:
        """Return those of up to 20 tasks that the vendor knows.

        Args:
            kind: `task_ids` or `external_task_ids`.
            ids: what names the tasks.
        """
        answer = await self._send(Call("GET", TASKS, params={kind: ",".join(ids)}))
        return self._read(answer, lambda data: tuple(map(self._standard_task, _items(data))))

    def missing(self, name: str, answer: Answer[Any]) -> ResourceMissing:
        """Return the error for an id that an answer has no task of."""
        error = ResourceMissing(
            f"Kling knows no task {vendor_text(name)}.", code=0, http_status=200, request_id=answer.request_id
        )
        error.server_time = answer.server_time
        return error

    def _standard_task(self, data: Any) -> Task:
        return self._task(legacy_shape(data))


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _items(data: Any) -> list[Any]:
    """Return the tasks of a query's answer; one without a list says nothing, least of all "not found"."""
    if not isinstance(data, list):
        raise TypeError
    return data


def _next_cursor(page: Any) -> str:
    """Return where the next page of a list begins; empty after the last one."""
    return str(page.get("next_cursor") or "") if isinstance(page, dict) and page.get("has_more") else ""


def legacy_shape(data: Any) -> dict[str, Any]:
    """Return a task of this generation with the field names of the first one.

    `amount` of an entry in `billing` is units or money, by `charge_type`: read as the other it is wrong by a
    factor of seven.
    """
    outputs = data.get("outputs")
    listed = outputs if isinstance(outputs, list) else []
    videos = [item for item in listed if _kind(item) == "video"]
    elements = [_legacy_element(item) for item in listed if _kind(item) == "element"]
    return {
        "task_id": data["id"],
        "task_status": data.get("status"),
        "task_status_msg": data.get("message"),
        "task_info": {"external_task_id": data.get("external_id")},
        "task_result": {"videos": videos, "elements": elements},
        "created_at": data.get("create_time"),
        "updated_at": data.get("update_time"),
        **_charge(data.get("billing")),
    }


def _legacy_element(output: dict[str, Any]) -> dict[str, Any]:
    """Return an element with the field names of the first one; the form of `references` is not known."""
    return {
        "element_id": output.get("id"),
        "element_name": output.get("name"),
        "element_description": output.get("description"),
        "reference_type": REFERENCE_TYPES.get(str(output.get("element_type")), ""),
        "owned_by": output.get("owned_by"),
        "status": output.get("status"),
    }


def _kind(output: Any) -> Any:
    return output.get("type") if isinstance(output, dict) else None


def _charge(billing: Any) -> dict[str, Any]:
    """Return what all entries of a kind add up to.

    Money of two currencies, or real and of a test balance, cannot be added up. Such entries, and those that
    cannot be read, are handed on in place of an amount: they are a charge of unknown size.
    """
    units: list[Decimal] = []
    cash: dict[tuple[str, bool], list[Decimal]] = {}
    unread = {"final_unit_deduction": {"billing": billing}}
    for entry in billing if isinstance(billing, list) else [billing]:
        if is_empty(entry):
            continue
        if not isinstance(entry, dict) or "amount" not in entry:
            return unread
        if is_empty(entry["amount"]):
            continue
        kind, amount = entry.get("charge_type"), charge_of(entry["amount"])
        if amount is None or kind not in ("unit", "cash"):
            return unread
        if kind == "unit":
            units.append(amount)
        else:
            money = (str(entry.get("currency") or ""), entry.get("cash_type") == "test_balance")
            cash.setdefault(money, []).append(amount)
    paid = {money: amounts for money, amounts in cash.items() if any(amounts)}
    if len(paid) > 1:
        return unread
    charge: dict[str, Any] = {"final_unit_deduction": sum(units)} if units else {}
    for (currency, is_test), amounts in (paid or cash).items():
        charge["final_balance_deduction"] = {"quota": sum(amounts), "currency": currency, "is_test": is_test}
    return charge


@dataclass
class Looks:
    """The looks of every waiting task of one account, gathered into calls of up to 20 ids.

    Tasks that were looked at together come back together after their pause, so a look waits a moment for the
    others. A task that joins waits for the next of these moments; one whose last look was just now has news
    (a callback, a link to fetch) and goes at once.
    """

    client: StandardClient = field(repr=False)
    _waiting: dict[str, asyncio.Future[Answer[Task]]] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    _last: float = float("-inf")
    _urgent: asyncio.Event = field(default_factory=asyncio.Event)
    _sender: asyncio.Task[None] | None = None

    async def look(self, task_id: str) -> Answer[Task]:
        """Return a task as the vendor says that it is now.

        Raises:
            ResourceMissing: the vendor does not know it.
            ApiError, TransportError: no readable answer.
        """
        waiting = self._waiting.get(task_id)
        if waiting is None:
            waiting = self._waiting[task_id] = asyncio.get_running_loop().create_future()
            waiting.add_done_callback(_mark_retrieved)
        if self._now() - self._seen.get(task_id, float("-inf")) < self.client.poll_seconds / 2:
            self._urgent.set()
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_due())
        return await asyncio.shield(waiting)

    def close(self) -> None:
        """Send nothing more."""
        if self._sender is not None:
            self._sender.cancel()
        for waiting in self._waiting.values():
            waiting.cancel()

    def _now(self) -> float:
        return self.client.clock.monotonic()

    async def _send_due(self) -> None:
        clock, gather = self.client.clock, min(GATHER_SECONDS, self.client.poll_seconds / 10)
        while self._waiting:
            left = self._last + self.client.poll_seconds - self._now()
            if left > 0:
                await first_of(clock.sleep(left), self._urgent.wait())
            await clock.sleep(gather)
            self._urgent.clear()
            waiting, self._waiting = self._waiting, {}
            self._last = self._now()
            self._seen = dict.fromkeys(waiting, self._last)
            ids = [*waiting]
            calls = (ids[start : start + IDS_PER_CALL] for start in range(0, len(ids), IDS_PER_CALL))
            await asyncio.gather(*(self._ask({name: waiting[name] for name in call}) for call in calls))

    async def _ask(self, waiting: dict[str, asyncio.Future[Answer[Task]]]) -> None:
        """Hand each task of one call its own answer; what went wrong with the call goes to all of them."""
        try:
            answer = await self.client.query("task_ids", waiting)
        except Exception as error:  # noqa: BLE001 - raised by each look
            for look in waiting.values():
                look.set_exception(_copy(error))
            return
        found = {task.task_id: task for task in answer.value}
        for task_id, look in waiting.items():
            if task_id in found:
                look.set_result(Answer(found[task_id], answer.request_id, answer.server_time))
            else:
                look.set_exception(self.client.missing(task_id, answer))


def _mark_retrieved(look: asyncio.Future[Answer[Task]]) -> None:
    """Keep asyncio from logging the error of a look that nobody waits for any more."""
    if not look.cancelled():
        look.exception()


def _copy(error: Exception) -> Exception:
    """Return an error of its own for each look: whoever raises it writes the task's id into it."""
    own = type(error).__new__(type(error), *error.args)
    own.__dict__.update(error.__dict__)
    return own
