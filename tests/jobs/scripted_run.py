"""A run whose vendor, ledger, media host and clock are scripts: what one step does, in no time.

The same steps before real parts: tests/jobs/test_create_faults.py. Here every answer at every place can be
said, so that each line of a step has a test that fails without it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kling_once.accounts.accounts import Account
from kling_once.api.models import Answer, Task
from kling_once.errors import InvalidValue, ResourceMissing
from kling_once.jobs.run import Run
from kling_once.ledger.attempts import Attempt, AttemptState
from kling_once.ledger.job import JobLabel
from kling_once.order import Service
from kling_once.settings import Pace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_once.jobs.progress import Progress

EXTERNAL_ID = "ko-0123456789abcdef0123456789abcdef-1"
ORIGIN = "https://api.example.com"
BEGAN = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def task(external_id: str = EXTERNAL_ID, task_id: str = "871") -> Task:
    return Task.model_validate(
        {"task_id": task_id, "task_status": "submitted", "task_info": {"external_task_id": external_id}}
    )


def invalid_value() -> InvalidValue:
    return InvalidValue("Kling: 1201, no such value.", code=1201, http_status=400)


class ScriptedClock:
    """Sleeping takes no time, moves the clock, and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=sum(self.slept))

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 500, "a step that never ends"
        self.slept.append(seconds)
        await asyncio.sleep(0)


class ScriptedVendor:
    """Answers each kind of call from a list; the last answer holds for all that follow."""

    origin = ORIGIN
    absent = (InvalidValue, ResourceMissing)

    def __init__(self) -> None:
        self.looks: list[Any] = [None]
        self.pages: list[Any] = [[]]
        self.creates: list[Any] = [task()]
        self.asked: list[Any] = []
        self.certain: list[bool] = []

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.asked)

    async def find(self, external_id: str) -> Answer[Task]:
        found = self._next(self.looks, "find", external_id)
        if found is None:
            raise invalid_value()
        return Answer(found, "", None)

    async def list(self, page: int, size: int) -> Answer[list[Task]]:
        return Answer(self._next(self.pages, "list", page, size), "", None)

    async def create(self, request: Any, may_send: Any) -> Answer[Task]:
        self.certain.append(may_send())
        return Answer(self._next(self.creates, "create", request), "", None)

    def _next(self, answers: list[Any], *call: Any) -> Any:
        self.asked.append(call)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class ScriptedLedger:
    """One attempt in memory, and every call in its order."""

    def __init__(self, clock: ScriptedClock) -> None:
        self.clock = clock
        self.calls: list[tuple[Any, ...]] = []
        self.slots: list[bool] = [True]
        self.faults: dict[str, Exception] = {}

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def _note(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments))
        if name in self.faults:
            raise self.faults[name]

    async def change(self, attempt: Attempt, **changes: Any) -> Attempt:
        self._note("change", changes)
        return replace(attempt, **changes)

    async def post(self, attempt: Attempt) -> Attempt:
        self._note("post")
        return replace(attempt, posts=attempt.posts + 1, posted_at=self.clock.now())

    async def take_slot(self, attempt: Attempt, room: Any, most: int) -> bool:
        self._note("take_slot", room, most)
        return self.slots.pop(0) if len(self.slots) > 1 else self.slots[0]

    async def refuse_slot(self, attempt: Attempt, room: Any) -> None:
        self._note("refuse_slot", room)

    async def require_writable(self) -> None:
        self._note("require_writable")

    async def require_released(self, service: Service) -> None:
        self._note("require_released", service)

    async def note_upload(self, location: str, kind: str, signed_until: datetime) -> None:
        self._note("note_upload", location, kind, signed_until)


class ScriptedHost:
    """A media host that holds what was published, and loses it as often as it is told to."""

    kind = "object_store"

    def __init__(self, *, verdicts: Iterable[Exception | None] = (), location: str = "clips/abc") -> None:
        self.verdicts = list(verdicts)
        self.calls: list[tuple[Any, ...]] = []
        self._location = location

    def location(self, clip: Any) -> str:
        return self._location

    async def publish(self, clip: Any) -> str:
        self.calls.append(("publish", clip))
        return self._location or "/sandbox/files/abc"

    async def sign(self, location: str, lifetime_seconds: float) -> str:
        self.calls.append(("sign", location, lifetime_seconds))
        return f"https://bucket.example.com/{location}?signed={len(self.calls)}"

    async def verify(self, url: str, clip: Any) -> None:
        self.calls.append(("verify", url))
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if verdict is not None:
            raise verdict

    async def withdraw(self, location: str) -> None:
        self.calls.append(("withdraw", location))


class ScriptedServices:
    """What a run shares with others, as far as submit and settle use it."""

    def __init__(self, *, service: Service = Service.KLING) -> None:
        self.clock = ScriptedClock()
        self.ledger = ScriptedLedger(self.clock)
        self.vendor = ScriptedVendor()
        self.media_host: ScriptedHost | None = None
        self.callback = ""
        self.kept: Any = None
        self.told: list[Progress] = []
        self.fitted_with: list[dict[str, Any]] = []
        self.asked_host: list[tuple[Any, ...]] = []
        self.settings = SimpleNamespace(
            account_parallel=3,
            store_url="s3://bucket",
            public_url="",
            callback_origins=(),
            pace=lambda origin: Pace(poll_seconds=5.0, settle_seconds=90.0, create_seconds=60.0),
        )
        self.watchers = SimpleNamespace(hear=self.told.append)
        self.results = SimpleNamespace(find=self._find)
        self.accounts = SimpleNamespace(generation=lambda service, profile: "legacy")
        self.media = SimpleNamespace()
        self.moves = 0
        self.take_slot = self.ledger.take_slot

    async def _find(self, key: str) -> Any:
        return self.kept

    def tell_moved(self) -> None:
        self.moves += 1

    async def moved(self) -> None:
        await asyncio.Event().wait()

    async def client(self, account: Account, kind: Any) -> ScriptedVendor:
        return self.vendor

    async def host(self, service: Service, origin: str) -> ScriptedHost | None:
        self.asked_host.append((service, origin))
        return self.media_host

    async def gateway(self, service: Service) -> Any:
        return SimpleNamespace(callback_url=lambda: self.callback) if self.callback else None

    def said(self) -> list[str]:
        """Return what those who wait were told, each once in a row."""
        texts = [progress.text for progress in self.told]
        return [text for number, text in enumerate(texts) if number == 0 or text != texts[number - 1]]


def attempt_in(state: AttemptState, **changes: Any) -> Attempt:
    known: dict[str, Any] = dict.fromkeys(Attempt.__dataclass_fields__)
    known |= {
        "attempt_id": 1,
        "job_key": "v1",
        "number": 1,
        "state": state,
        "realm": "global",
        "origin": ORIGIN,
        "external_id": EXTERNAL_ID,
        "own_external_id": False,
        "posts": 0,
        "units_reserved": Decimal(2),
    }
    return Attempt(**(known | changes))


async def run_of(services: ScriptedServices, attempt: Attempt, staged: Any = None) -> Run:
    """Return a run at this attempt, which somebody waits for."""
    label = JobLabel("v1" + "0" * 64, Service.KLING, "", "figure", "walk", 0)
    run = Run(services, label, staged, attempt)  # pyright: ignore[reportArgumentType]
    await run.connect(Account(ORIGIN, "", None, "f1", "legacy"))  # pyright: ignore[reportArgumentType]
    run._waiting = 1
    return run
