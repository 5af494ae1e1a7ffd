"""Kling as an httpx transport: honest but for what a test asks."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ORIGIN = "http://127.0.0.1:9"
CREATE, LINK = "/v1/videos/motion-control", "/result.mp4"
TASKS = "/tasks"
"""Of the generation `standard`."""
STANDARD_NAMES = {
    "task_id": "id",
    "task_status": "status",
    "task_status_msg": "message",
    "created_at": "create_time",
    "updated_at": "update_time",
    "task_result": "outputs",
}


@dataclass
class Hostility:
    """How one task's answers differ from the documented ones."""

    fields: dict[str, Any] = field(default_factory=dict)
    """Values in place of documented ones, in the answers that are hostile; by the names of `legacy`."""
    envelope: dict[str, Any] = field(default_factory=dict)
    in_create: bool = True
    gets: int = 2
    """How many looks at the task are answered so; then the answers are honest."""
    link_status: int = 200
    links: int = 0
    """How many fetches of the video are answered with `link_status`."""
    drips: bool = False
    """The answers come byte by byte."""


class Whole(httpx.AsyncByteStream):
    """A body that is read as it arrives."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


class Slowly(httpx.AsyncByteStream):
    """A body that never ends in time."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b" "


class Vendor:
    """Kling as an httpx transport, honest but for what a test asks; of both generations."""

    def __init__(self, video: bytes) -> None:
        self.video = video
        self.hostility = Hostility()
        self.status = "succeed"
        self.tasks: dict[str, str] = {}
        """Task ids by external id."""
        self.creates: Counter[str] = Counter()

    def client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer), **options)

    def task(self, external_id: str, hostile: dict[str, Any], *, status: str) -> dict[str, Any]:
        honest = {
            "task_id": self.tasks[external_id],
            "task_status": status,
            "task_info": {"external_task_id": external_id},
            "task_status_msg": "" if status != "failed" else "no luck",
            "task_result": {"videos": [{"id": "v", "url": f"{ORIGIN}{LINK}"}]} if status == "succeed" else {},
            "created_at": int(datetime.now(UTC).timestamp() * 1000),
            "updated_at": int(datetime.now(UTC).timestamp() * 1000),
        }
        return honest | hostile

    def envelope(self, data: Any, *, code: int = 0, status: int = 200, **more: Any) -> httpx.Response:
        body = {"code": code, "message": "SUCCEED", "request_id": "r", "data": data} | more
        headers = {"Date": format_datetime(datetime.now(UTC), usegmt=True)}
        return httpx.Response(status, headers=headers, text=json.dumps(body))

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, hostility = request.url.path, self.hostility
        if path == LINK:
            hostility.links -= 1
            status = hostility.link_status if hostility.links >= 0 else 200
            return httpx.Response(status, stream=Whole(self.video))
        if path == TASKS:
            return self._answer_of_tasks(request)
        if request.method == "POST":
            given = json.loads(request.content)
            external_id = given.get("options", given)["external_task_id"]
            self.creates[external_id] += 1
            self.tasks[external_id] = str(8_000_000 + len(self.tasks))
            wrong = hostility.fields if hostility.in_create else {}
            is_standard = path != CREATE
            said = self._said
            return said(
                external_id, wrong, "submitted", is_hostile=hostility.in_create, is_standard=is_standard
            )
        if path == CREATE:
            known = [self.task(name, {}, status=self.status) for name in self.tasks]
            return self.envelope(known)
        found = self._named({path.rsplit("/", 1)[1]})
        if not found:
            return self.envelope(None, code=1201, status=400, message="task not found")
        wrong, is_hostile = self._next_look()
        return self._said(found[0], wrong, self.status, is_hostile=is_hostile)

    def _answer_of_tasks(self, request: httpx.Request) -> httpx.Response:
        """Answer a query by ids, or a list."""
        if request.method == "POST":
            known = [standard_task(self.task(name, {}, status=self.status)) for name in self.tasks]
            return self.envelope({"result": known, "count": len(known), "next_cursor": "", "has_more": False})
        params = request.url.params
        found = self._named(set((params.get("task_ids") or params["external_task_ids"]).split(",")))
        wrong, is_hostile = self._next_look() if found else ({}, False)
        if is_hostile and self.hostility.drips:
            return httpx.Response(200, stream=Slowly())
        tasks = [standard_task(self.task(name, wrong, status=self.status)) for name in found]
        return self.envelope(tasks, **(self.hostility.envelope if is_hostile else {}))

    def _named(self, wanted: set[str]) -> list[str]:
        """Return the external ids of the tasks that these ids of either kind name."""
        return [name for name, task_id in self.tasks.items() if wanted & {name, task_id}]

    def _next_look(self) -> tuple[dict[str, Any], bool]:
        """Return the wrong fields of this look at a task, and whether it is a hostile one."""
        self.hostility.gets -= 1
        is_hostile = self.hostility.gets >= 0
        return (self.hostility.fields if is_hostile else {}), is_hostile

    def _said(
        self, name: str, wrong: dict[str, Any], status: str, *, is_hostile: bool, is_standard: bool = False
    ) -> httpx.Response:
        if is_hostile and self.hostility.drips:
            return httpx.Response(200, stream=Slowly())
        envelope = self.hostility.envelope if is_hostile else {}
        task = self.task(name, wrong, status=status)
        return self.envelope(standard_task(task) if is_standard else task, **envelope)


def standard_task(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task of the generation `legacy`, whatever is wrong with it, as `standard` writes it."""
    written = {STANDARD_NAMES[name]: value for name, value in task.items() if name in STANDARD_NAMES}
    info, result = task.get("task_info"), task.get("task_result")
    written["external_id"] = info.get("external_task_id") if isinstance(info, dict) else info
    if isinstance(result, dict):
        written["outputs"] = [{"type": "video"} | one for one in result.get("videos", [])]
    if written["status"] == "succeed":
        written["status"] = "succeeded"
    charges = {"unit": "final_unit_deduction", "cash": "final_balance_deduction"}
    written["billing"] = [
        {"charge_type": kind, "amount": task[name]} for kind, name in charges.items() if name in task
    ]
    return written
