"""A relay before a server that holds back chosen requests while the test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on in both directions; a request that begins with `held` waits while it is told to."""

    def __init__(self, upstream: str, held: bytes) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._held = held
        self.begun = 0
        """How many requests began with `held` so far."""
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # what is held is not taken in
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_through()
        self._listener.close()

    def hold(self) -> None:
        self._open.clear()

    def let_through(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._upstream) as server:
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                if data.startswith(self._held):
                    self.begun += 1
                    self._open.wait(240)
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
