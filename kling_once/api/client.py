"""The three motion-control calls, and the free account query."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from ..errors import (
    AnswerLost,
    InputRefused,
    NeverSent,
    TokenTimingError,
    TransportError,
    UnreadableAnswer,
    Violation,
    vendor_text,
)
from .limits import is_path_id
from .models import (
    Answer,
    CreateRequest,
    ResourcePack,
    Task,
)
from .service_codes import api_error
from .transport import open_client, private_traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from ..clock import Clock
    from .credentials import Credential

logger = logging.getLogger(__name__)

MOTION_CONTROL: Final = "/v1/videos/motion-control"
ACCOUNT_COSTS: Final = "/account/costs"
CONNECT_SECONDS: Final = 15.0
READ_SECONDS: Final = 30.0
ANSWER_MAX_BYTES: Final = 32 * 1024 * 1024

Params: TypeAlias = dict[str, int] | None


def translate(error: httpx.HTTPError | httpx.InvalidURL | OSError, origin: str) -> TransportError:
    """Return what a failure of httpx means for us; the only place that knows its exceptions.

    It lets `ssl.SSLError` and other `OSError`s of a connection that stands pass as they are.
    """
    kind = type(error).__name__
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)):
        return NeverSent(
            f"{origin} cannot be reached: {vendor_text(error) or kind}.",
            hint="Check the network, the proxy and the address. Nothing was sent.",
        )
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return NeverSent(f"The request to {origin} could not be formed: {kind}.", hint="Check the address.")
    if isinstance(error, httpx.TimeoutException):
        return AnswerLost(f"{origin} did not answer in time ({kind}).", hint="Try again later.")
    return AnswerLost(
        f"The connection to {origin} broke before the answer ({kind}).", hint="Try again later."
    )


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
    return _Envelope(code, str(answer.get("message") or ""), request_id, answer.get("data"))


@dataclass
class KlingClient:
    """One origin asked with one credential; use it on one event loop."""

    origin: str
    credential: Credential = field(repr=False)
    clock: Clock = field(repr=False)
    http: httpx.AsyncClient = field(repr=False)
    create_seconds: float = 60.0
    """How long a create may stay without an answer after it was sent."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, origin: str, credential: Credential, clock: Clock, *, create_seconds: float = 60.0
    ) -> AsyncIterator[KlingClient]:
        """Open a client; proxies and SSL_CERT_FILE of the environment count, redirects are not followed.

        Raises:
            SettingsError: the environment's proxy or certificates cannot be used.
        """
        async with open_client(base_url=origin) as http:
            yield cls(origin, credential, clock, http, create_seconds)

    async def create(self, request: CreateRequest) -> Answer[Task]:
        """Create a task. Never repeated here, save once after a new signature, when nothing was made.

        Raises:
            ApiError: the API answered with a service code.
            NeverSent: nothing left this machine.
            AnswerLost, UnreadableAnswer: nobody knows whether a task was made.
        """
        answer = await self._send("POST", MOTION_CONTROL, body=request)
        return self._typed(answer, Task.model_validate)

    async def get(self, any_id: str) -> Answer[Task]:
        """Return one task by task id or external task id.

        Raises:
            InputRefused: the text cannot be an id; nothing was sent.
            ApiError: InvalidValue or ResourceMissing when the id is not known.
            TransportError: no readable answer.
        """
        if not is_path_id(any_id):
            message = (
                f"{vendor_text(any_id)!r} is not a task id: letters, digits and . _ : - only, at most 128."
            )
            raise InputRefused([Violation("id", "id.form", message)])
        answer = await self._send("GET", f"{MOTION_CONTROL}/{quote(any_id, safe='')}")
        return self._typed(answer, Task.model_validate)

    async def get_task(self, task_id: str) -> Answer[Task]:
        """Return the task of this task id, and no other.

        Raises:
            UnreadableAnswer: the answer describes another task.
            InputRefused, ApiError, TransportError: as `get`.
        """
        answer = await self.get(task_id)
        if answer.value.task_id != task_id:
            raise UnreadableAnswer(
                f"{self.origin} answered with another task than {vendor_text(task_id)}.",
                hint="Check that no proxy stands between.",
            )
        return answer

    async def list(self, page: int = 1, page_size: int = 30) -> Answer[tuple[Task, ...]]:
        """Return one page of the account's tasks; pages 1..1000 of 1..500.

        Raises:
            ApiError: the API answered with a service code.
            TransportError: no readable answer.
        """
        answer = await self._send("GET", MOTION_CONTROL, params={"pageNum": page, "pageSize": page_size})
        return self._typed(answer, lambda data: tuple(Task.model_validate(item) for item in data or ()))

    async def costs(self, start: datetime, end: datetime) -> Answer[tuple[ResourcePack, ...]]:
        """Return the account's resource packs: free, at most once a second, and so a good test of a key."""
        params = {"start_time": int(start.timestamp() * 1000), "end_time": int(end.timestamp() * 1000)}
        answer = await self._send("GET", ACCOUNT_COSTS, params=params)
        return self._typed(
            answer,
            lambda data: tuple(
                ResourcePack.model_validate(item) for item in data.get("resource_pack_subscribe_infos") or ()
            ),
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params = None,
        body: CreateRequest | None = None,
    ) -> Answer[Any]:
        try:
            return await self._send_once(method, path, params, body, fresh=False)
        except TokenTimingError:
            if not self.credential.can_resign:
                raise
            return await self._send_once(method, path, params, body, fresh=True)

    async def _send_once(
        self,
        method: str,
        path: str,
        params: Params,
        body: CreateRequest | None,
        *,
        fresh: bool,
    ) -> Answer[Any]:
        """Send and open the answer. No local holds a key or a body: crash reporters print locals."""
        began = self.clock.monotonic()
        try:
            with private_traffic():
                response = await self._exchange(self._request(method, path, params, body, fresh=fresh))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise translate(error, self.origin) from None
        logger.debug(
            "%s %s: HTTP %d in %.2f s", method, path, response.status, self.clock.monotonic() - began
        )
        return self._opened(response)

    def _request(
        self,
        method: str,
        path: str,
        params: Params,
        body: CreateRequest | None,
        *,
        fresh: bool,
    ) -> httpx.Request:
        patience = self.create_seconds if method == "POST" else READ_SECONDS
        return self.http.build_request(
            method,
            path,
            headers={
                "Authorization": f"Bearer {self.credential.bearer(fresh=fresh)}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            params=params,
            content=body.encode() if body else None,
            timeout=httpx.Timeout(patience, connect=CONNECT_SECONDS),
        )

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
        """Open the envelope: the service code decides, never the HTTP status alone."""
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

    def _typed(self, answer: Answer[Any], read: Any) -> Answer[Any]:
        try:
            return Answer(read(answer.value), answer.request_id, answer.server_time)
        except (ValidationError, TypeError, AttributeError):
            raise UnreadableAnswer(
                f"{self.origin} answered without the fields that Kling's API documents.",
                hint="Check the address; if it is Kling's, update Kling Once.",
            ) from None

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
