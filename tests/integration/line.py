"""A way to a server that a test can take away."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Line:
    """A TCP line on loopback, as a tunnel or an uplink: it goes down and up at the same address."""

    def __init__(self, target_port: int) -> None:
        self.held = threading.Event()
        """A connection that begins with `hold` has come in, and goes no further."""
        self.hold = b""
        self.before: Callable[[bytes], object] = lambda _first: None
        """Is called with how a connection begins, before anything is passed on."""
        self.silent = False
        """Nothing passes, and nothing is closed."""
        self._target_port = target_port
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def down(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for end in list(self._ends):
            self._close(end)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            self._ends.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            first = client.recv(65536)
            if self.hold and first.startswith(self.hold):
                self.held.set()
                return
            if self.silent:
                return
            self.before(first)
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self._ends.add(server)
            server.sendall(first)
        except OSError:
            self._close(client)
            return
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self.silent:
                    return
                target.sendall(data)
        except OSError:
            pass
        self._close(source)
        self._close(target)

    def _close(self, end: socket.socket) -> None:
        self._ends.discard(end)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
