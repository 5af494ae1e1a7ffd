"""A PostgreSQL server of the tests' own, in a temporary folder, never as root.

REQUIRE_POSTGRESQL=1 makes a missing server a failure. Its programs are looked for on PATH, then where
distributions put them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tests.ports import free_port

PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
IN_MEMORY: Final = Path("/dev/shm")
LEAST_BYTES: Final = 2 << 30
"""So much must be free there, or the server lies on the disk."""
PASSWORD: Final = "password-of-the-tests-0123456789"
UNPRIVILEGED: Final = ("postgres", "nobody")
OPTIONS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "timezone": "Asia/Tokyo",  # days are UTC's, wherever the server stands
}


def programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    for place in PLACES:
        folders += sorted(Path("/").glob(place.removeprefix("/")), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


def require_programs() -> Path:
    folder = programs()
    if folder is None:
        reason = "PostgreSQL's initdb is neither on PATH nor in " + ", ".join(PLACES)
        if os.environ.get("REQUIRE_POSTGRESQL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def unprivileged() -> pwd.struct_passwd | None:
    """Return whom to run as in root's place; None for anybody else, who runs as themselves."""
    if os.getuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("root may not run PostgreSQL, and there is no user to run it as")


def as_unprivileged(folder: Path) -> dict[str, Any]:
    """Return how to start a process that owns `folder`."""
    options: dict[str, Any] = {
        "cwd": folder,
        "stdin": subprocess.DEVNULL,
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
    }
    if identity := unprivileged():
        os.chown(folder, identity.pw_uid, identity.pw_gid)
        options |= {"user": identity.pw_uid, "group": identity.pw_gid, "extra_groups": []}
    return options


def _quickest() -> Path:
    is_large = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > LEAST_BYTES
    return IN_MEMORY if is_large else Path("/tmp")


class Postgresql:
    """One server: it can be stopped, killed and started again."""

    def __init__(self, bin_folder: Path, copy_of: Postgresql | None = None) -> None:
        self.port = free_port()
        self._bin = bin_folder
        self._root = Path(tempfile.mkdtemp(prefix="postgresql-", dir=_quickest()))
        self._data = self._root / "data"
        self._numbers = count()
        self._looking: tuple[str, psycopg.Connection[Any]] | None = None
        self._server: subprocess.Popen[Any] | None = None
        self._options = as_unprivileged(self._root)
        (self._root / "password").write_text(PASSWORD)
        (self._root / "password").chmod(0o644)
        if copy_of is not None:
            dsn = f"host=127.0.0.1 port={copy_of.port} user=tests password={PASSWORD}"
            self._run([self._bin / "pg_basebackup", "-D", self._data, "-R", "-c", "fast", "-d", dsn])
            self.start()
            return
        initdb = [self._bin / "initdb", "-D", self._data, "-U", "tests", "-A", "scram-sha-256", "--no-sync"]
        self._run([*initdb, "--encoding=UTF8", "--locale=C", f"--pwfile={self._root / 'password'}"])
        self.start()

    def _run(self, command: list[Any]) -> None:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            check=False,
            **self._options,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    def start(self) -> None:
        options = OPTIONS | {"port": str(self.port), "unix_socket_directories": str(self._root)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self._root / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self._data), *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._options,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._root / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def replica(self) -> Postgresql:
        """Return a hot standby of this server, which answers questions and takes nothing."""
        return Postgresql(self._bin, copy_of=self)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts every connection off, SIGQUIT does not even write its buffers."""
        self._look_away()
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(30)
            self._server = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._root, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres", *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; the connection is kept, since tests look many times a second."""
        if self._looking is None or self._looking[0] != database or self._looking[1].closed:
            self._look_away()
            dsn = f"host=127.0.0.1 port={self.port} user=tests password={PASSWORD} dbname={database}"
            self._looking = database, psycopg.connect(dsn, autocommit=True, connect_timeout=5)
        cursor = self._looking[1].execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def _look_away(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking[1].close()

    def new_database(self, template: str = "template0") -> str:
        """Make a database; return its name."""
        name = f"ledger_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it: each is hundreds of files to copy and to remove."""
        self._look_away()
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def url(self, database: str, port: int | None = None) -> str:
        return f"postgresql+psycopg://tests:{PASSWORD}@127.0.0.1:{port or self.port}/{database}"


class Pgbouncer:
    """A connection pooler in transaction mode before a server."""

    def __init__(self, server: Postgresql) -> None:
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            reason = "pgbouncer is not installed"
            if os.environ.get("REQUIRE_POSTGRESQL"):
                pytest.fail(reason)
            pytest.skip(reason)
        self.port = free_port()
        self._root = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
        (self._root / "users").write_text(f'"tests" "{PASSWORD}"\n')
        (self._root / "settings").write_text(
            "\n".join(
                [
                    "[databases]",
                    f"* = host=127.0.0.1 port={server.port}",
                    "[pgbouncer]",
                    "listen_addr = 127.0.0.1",
                    f"listen_port = {self.port}",
                    "unix_socket_dir =",
                    "auth_type = scram-sha-256",
                    f"auth_file = {self._root / 'users'}",
                    "pool_mode = transaction",
                    "default_pool_size = 8",
                    "max_client_conn = 400",
                    "server_login_retry = 1",
                ]
            )
        )
        options = as_unprivileged(self._root)
        for file in self._root.iterdir():
            file.chmod(0o644)
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, str(self._root / "settings")],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, (self._root / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def remove(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        shutil.rmtree(self._root, ignore_errors=True)
