"""A client of ComfyUI's WebSocket, as its page is one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.host.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Event:
    at: float
    kind: str
    data: Any = None


class Listener:
    """A client of ComfyUI's WebSocket, in a thread; `client_id` is what prompts are queued with."""

    def __init__(self, url: str) -> None:
        self.client_id = uuid.uuid4().hex
        self.events: list[Event] = []
        self._url = f"{url}/ws?clientId={self.client_id}"
        self._open, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._open.wait(20), "the WebSocket opens"

    def stop(self) -> None:
        self._closing.set()
        self._thread.join(20)

    async def _listen(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url) as socket_:
            self._open.set()
            while not self._closing.is_set():
                try:
                    message = await socket_.receive(timeout=0.2)
                except TimeoutError:
                    continue
                if message.type is aiohttp.WSMsgType.TEXT:
                    body = json.loads(message.data)
                    self.events.append(Event(time.monotonic(), body["type"], body["data"]))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._binary(message.data)

    def _binary(self, data: bytes) -> None:
        if int.from_bytes(data[:4], "big") == 3:
            length = int.from_bytes(data[4:8], "big")
            node, text = data[8 : 8 + length].decode(), data[8 + length :].decode()
            self.events.append(Event(time.monotonic(), "progress_text", (node, text)))

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def wait_for(
        self, kind: str, condition: Callable[[Any], bool] = lambda _: True, seconds: float = 60
    ) -> Event:
        def found() -> Event | None:
            return next((event for event in self.of(kind) if condition(event.data)), None)

        return eventually(found, f"{kind} arrives", seconds, pause=0.005)

    def texts(self) -> list[str]:
        return [event.data[1] for event in self.of("progress_text")]
