"""The HTTP client: the motion-control calls and the free account query."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from ..errors import (
    AnswerLost,
    InputRefused,
    InvalidValue,
    ResourceMissing,
    TokenTimingError,
    UnreadableAnswer,
    Violation,
    vendor_text,
)
from .limits import Generation, is_path_id
from .models import Answer, ResourcePack, Task, Value
from .service_codes import api_error
from .transport import CONNECT_SECONDS, open_client, private_traffic, translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from ..clock import Clock
    from ..errors import ApiError

logger = logging.getLogger(__name__)

MOTION_CONTROL: Final = "/v1/videos/motion-control"
ACCOUNT_COSTS: Final = "/account/costs"
READ_SECONDS: Final = 30.0
SLOWEST_UPLOAD_BYTES_PER_SECOND: Final = 62_500
"""A line of 0.5 Mbit/s: what sending a picture may add to the time of a create."""
PIECE_BYTES: Final = 64 * 1024
"""How much of a create's body is handed to the system at once."""
ANSWER_MAX_BYTES: Final = 32 * 1024 * 1024
UNKNOWN_STATUSES_MAX: Final = 100
"""How many undocumented statuses a client warns about: a bound on the log and on memory."""


class Credential(Protocol):
    """Something that can authorize a request."""

    can_resign: ClassVar[bool]
    """Whether tokens are signed, so that `fresh` gives another one."""

    def bearer(self, *, fresh: bool = False) -> str:
        """Return the bearer token; `fresh` forces a newly signed one where tokens are signed."""
        ...

    def fingerprint(self, key: bytes) -> str:
        """Return 32 hex digits that identify this credential, by HMAC: without `key` they reveal nothing."""
        ...


class Request(Protocol):
    """The body of a create, of whatever endpoint."""

    @property
    def external_task_id(self) -> str:
        """Return the id that the task gets from us."""
        ...

    def encode(self) -> bytes:
        """Return the body as UTF-8 JSON."""
        ...

    def standard_call(self) -> tuple[str, bytes]:
        """Return path and body of the create in the generation `standard`."""
        ...


class OtherTask(UnreadableAnswer):
    """The answer describes another task than the one that was asked for or made."""

    def __init__(self, origin: str, wanted: str) -> None:
        super().__init__(
            f"{origin} answered with another task than {vendor_text(wanted)}.",
            hint="Check that no proxy stands between.",
        )


def always() -> bool:
    """Allow a create to be sent, however long it takes."""
    return True


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API."""

    method: str
    path: str
    params: dict[str, int] | dict[str, str] | None = None
    content: bytes | None = field(default=None, repr=False)
    is_create: bool = False
    """It may make a task, and is waited for as long as the settings say."""
    may_send: Callable[[], bool] = field(default=always, repr=False)
    """Asked before each piece of a create's body; the rest stays here once it says no."""


@dataclass(frozen=True, slots=True)
class _Received:
    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Envelope:
    code: int
    message: str
    request_id: str
    data: Any = field(repr=False)


def _envelope(content: bytes) -> _Envelope | None:
    try:
        answer = json.loads(content)
        code = answer["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(code, int) or isinstance(code, bool):
        return None
    request_id = vendor_text(answer.get("request_id") or "")
    return _Envelope(code, vendor_text(answer.get("message") or ""), request_id, answer.get("data"))


def require_path_id(text: str) -> None:
    """Pass when a text can be an id that is asked for.

    Raises:
        InputRefused: it cannot; nothing is sent.
    """
    if not is_path_id(text):
        message = f"{vendor_text(text)!r} is not a task id: letters, digits and . _ : - only, at most 128."
        raise InputRefused([Violation("id", "id.form", message)])


@dataclass
class KlingClient:
    """The API of the generation `legacy` at one origin, used with one credential on one event loop.

    Attributes:
        generation: which of the vendor's two APIs this client speaks.
        path: where tasks are created, asked for and listed.
        absent: the errors by which that API says that it knows no task of an id: 1201 is what a live probe
            saw, 1203 what the error table says.
    """

    generation: ClassVar[Generation] = Generation.LEGACY
    path: ClassVar[str] = MOTION_CONTROL
    absent: ClassVar[tuple[type[ApiError], ...]] = (InvalidValue, ResourceMissing)

    origin: str
    credential: Credential = field(repr=False)
    clock: Clock = field(repr=False)
    http: httpx.AsyncClient = field(repr=False)
    create_seconds: float = 60.0
    """How long to wait for the answer to a create."""
    poll_seconds: float = 5.0
    """How often each waiting task is looked at."""
    _unknown_statuses: set[str] = field(default_factory=set, init=False, repr=False)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        origin: str,
        credential: Credential,
        clock: Clock,
        *,
        create_seconds: float = 60.0,
        poll_seconds: float = 5.0,
    ) -> AsyncIterator[Self]:
        """Open a client that honours the environment's proxies and certificates and follows no redirect.

        Raises:
            SettingsError: the environment's proxy or certificates cannot be used.
        """
        async with open_client(base_url=origin) as http:
            client = cls(origin, credential, clock, http, create_seconds, poll_seconds)
            try:
                yield client
            finally:
                client.close()

    def close(self) -> None:
        """Stop what this client does by itself; the connections are closed by `connect`."""

    async def create(self, request: Request, may_send: Callable[[], bool] = always) -> Answer[Task]:
        """Create a task with one POST.

        The POST is repeated only after a refused token (1003, 1004), once, with a newly signed one: the API
        created nothing then. Every other failure is the caller's to settle.

        Args:
            request: the body.
            may_send: asked before each 64 KiB of the body; once it says no, nothing more of it is sent.

        Raises:
            ApiError: the API answered with a service code.
            NeverSent: nothing left this machine.
            AnswerLost, UnreadableAnswer: it is not known whether a task was created, or not under which id.
        """
        call = Call("POST", self.path, content=request.encode(), is_create=True, may_send=may_send)
        return self._made(self._read(await self._send(call), self._task), request)

    def _made(self, answer: Answer[Task], request: Request) -> Answer[Task]:
        """Pass the answer to a create on when it names the new task by an id that can be asked for."""
        task = answer.value
        if not task.is_askable:
            raise UnreadableAnswer(
                f"{self.origin} named the new task {vendor_text(task.task_id)!r}, which cannot be asked for."
            )
        if task.task_info.external_task_id not in {"", request.external_task_id}:
            raise OtherTask(self.origin, request.external_task_id)
        return answer

    async def get(self, any_id: str) -> Answer[Task]:
        """Return one task by task id or external task id.

        Raises:
            InputRefused: the text cannot be an id; nothing is sent.
            ApiError: InvalidValue or ResourceMissing when the id is not known.
            TransportError: no readable answer.
        """
        require_path_id(any_id)
        answer = await self._send(Call("GET", f"{self.path}/{quote(any_id, safe='')}"))
        return self._read(answer, self._task)

    async def find(self, external_id: str) -> Answer[Task]:
        """Return the task of an external task id; as `get`, which takes both kinds here."""
        return await self.get(external_id)

    async def get_task(self, task_id: str, external_id: str = "") -> Answer[Task]:
        """Return the task of this id, and no other.

        Args:
            task_id: its task id, or its external id.
            external_id: the external id that it must not contradict; empty where none is known.

        Raises:
            OtherTask: the answer describes another task.
            InputRefused, ApiError, TransportError: as `get`.
        """
        answer = await self.get(task_id)
        named = answer.value.task_info.external_task_id
        if task_id not in {answer.value.task_id, named} or (external_id and named not in {"", external_id}):
            raise OtherTask(self.origin, task_id)
        return answer

    async def list(self, page: int = 1, page_size: int = 30) -> Answer[tuple[Task, ...]]:
        """Return one page of the account's tasks.

        Args:
            page: 1 to 1000.
            page_size: 1 to 500.

        Raises:
            ApiError: the API answered with a service code.
            TransportError: no readable answer.
        """
        call = Call("GET", self.path, {"pageNum": page, "pageSize": page_size})
        return self._read(await self._send(call), lambda data: tuple(map(self._task, data or ())))

    async def costs(self, start: datetime, end: datetime) -> Answer[tuple[ResourcePack, ...]]:
        """Return the account's resource packs between two moments.

        Free, at most one request a second: a good test of a key.

        Raises:
            ApiError: the API answered with a service code.
            TransportError: no readable answer.
        """
        params = {"start_time": int(start.timestamp() * 1000), "end_time": int(end.timestamp() * 1000)}
        return self._read(
            await self._send(Call("GET", ACCOUNT_COSTS, params)),
            lambda data: tuple(
                ResourcePack.model_validate(item) for item in data.get("resource_pack_subscribe_infos") or ()
            ),
        )

    async def _send(self, call: Call) -> Answer[Any]:
        try:
            return await self._send_once(call, fresh=False)
        except TokenTimingError:
            if not self.credential.can_resign:
                raise
            return await self._send_once(call, fresh=True)

    async def _send_once(self, call: Call, *, fresh: bool) -> Answer[Any]:
        """Send and open the answer. No local holds a key or a body: crash reporters print locals."""
        began = self.clock.monotonic()
        try:
            with private_traffic():
                request = self._request(call, fresh=fresh)
                async with asyncio.timeout(self._deadline(call)):
                    response = await self._exchange(request)
        except AnswerLost:  # of `_pieces`
            raise
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise translate(error, self.origin) from None
        took = self.clock.monotonic() - began
        logger.debug("%s %s: HTTP %d in %.2f s", call.method, call.path, response.status, took)
        return self._opened(response)

    def _request(self, call: Call, *, fresh: bool) -> httpx.Request:
        return self.http.build_request(
            call.method,
            call.path,
            headers={
                "Authorization": f"Bearer {self.credential.bearer(fresh=fresh)}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            }
            | ({"Content-Length": str(len(call.content or b""))} if call.is_create else {}),
            params=call.params,
            content=self._pieces(call) if call.is_create else call.content,
            timeout=httpx.Timeout(self._patience(call), connect=CONNECT_SECONDS),
        )

    async def _pieces(self, call: Call) -> AsyncIterator[bytes]:
        """Yield a create's body while it may be sent: a process that was suspended must not complete it late.

        No deadline ensures that: when a process goes on, sockets are served before timers are.
        """
        body = memoryview(call.content or b"")
        for begin in range(0, len(body), PIECE_BYTES):
            if not call.may_send():
                raise AnswerLost(
                    "The create was not sent to its end: this process stood still meanwhile.",
                    hint="Run it again: its task is looked for first.",
                )
            yield bytes(body[begin : begin + PIECE_BYTES])

    def _deadline(self, call: Call) -> float:
        """Return how many seconds a call may take in all: httpx limits single reads and writes alone."""
        size_bytes = len(call.content or b"")
        return self._patience(call) + size_bytes / SLOWEST_UPLOAD_BYTES_PER_SECOND

    def _patience(self, call: Call) -> float:
        return self.create_seconds if call.is_create else READ_SECONDS

    async def _exchange(self, request: httpx.Request) -> _Received:
        response = await self.http.send(request, stream=True)
        try:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > ANSWER_MAX_BYTES:
                    raise httpx.DecodingError("the answer is too long", request=request)
        finally:
            await response.aclose()
        return _Received(response.status_code, response.headers, bytes(content))

    def _opened(self, response: _Received) -> Answer[Any]:
        """Return the envelope's data: the service code decides, never the HTTP status alone."""
        server_time = _date(response.headers.get("Date"))
        envelope = _envelope(response.content)
        if envelope is None:
            raise self._unreadable(response)
        if envelope.code != 0:
            error = api_error(envelope.code, response.status, envelope.message, envelope.request_id)
            error.server_time = server_time
            if isinstance(error, TokenTimingError):
                error.hint = self._clock_hint(server_time)
            raise error
        if not 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's own
            raise self._unreadable(response)
        return Answer(envelope.data, envelope.request_id, server_time)

    def _unreadable(self, response: _Received) -> UnreadableAnswer:
        kind = vendor_text(response.headers.get("Content-Type", "no content type"))
        return UnreadableAnswer(
            f"{self.origin} did not answer as Kling's API does (HTTP {response.status}, {kind}).",
            hint="Check the address, and that no proxy or login page stands between.",
        )

    def _read(self, answer: Answer[Any], read: Callable[[Any], Value]) -> Answer[Value]:
        try:
            return Answer(read(answer.value), answer.request_id, answer.server_time)
        except (ValidationError, TypeError, AttributeError, LookupError):
            raise UnreadableAnswer(
                f"{self.origin} answered without the fields that Kling's API documents.",
                hint="Check the address; if it is Kling's, update Kling Once.",
            ) from None

    def _task(self, data: Any) -> Task:
        """Read a task, and warn once about a status that is not documented."""
        task = Task.model_validate(data)
        known = self._unknown_statuses
        if task.status is None and task.task_status not in known and len(known) < UNKNOWN_STATUSES_MAX:
            known.add(task.task_status)
            logger.warning(
                "Kling answered with a status that is not documented: %r; the task is taken as running.",
                vendor_text(task.task_status),
            )
        return task

    def _clock_hint(self, server_time: datetime | None) -> str:
        if server_time is None:
            return "Set this machine's clock right."
        ahead = (self.clock.now() - server_time).total_seconds()
        side = "ahead of" if ahead > 0 else "behind"
        return f"This machine's clock is {abs(ahead):.0f} s {side} Kling's: set it right."


def _date(header: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(header) if header else None
        return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
    except (ValueError, OverflowError):
        return None
