"""Whole runs with every part real: a sandbox that fetches any URL, an S3 server, a tunnel, the command line.

Each of them is a process of its own; only the tunnel is threads of this one, because a test takes it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kling_direct.jobs.job import Service
from kling_direct.sandbox import DEFAULT_API_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVE_S3 = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
STORE_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
    "AWS_SECRET_ACCESS_KEY": "not/a+real=secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
ANSWER_SECONDS = 60


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """The machine's environment without anything that steers Kling Direct, a store or a proxy."""
    steers = ("KLING_DIRECT_", "KLINGAI_", "AWS_", "GOOGLE_", "AZURE_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(steers) and not name.lower().endswith("_proxy")
    }


@dataclass
class Vendor:
    """The sandbox that plays Kling: what it was asked, and how it shall behave."""

    origin: str
    callback_secret: str
    http: httpx.Client = field(repr=False)

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.origin}{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def calls(self) -> list[dict[str, Any]]:
        return self._json("GET", "/sandbox/calls")["calls"]

    def creates(self) -> list[dict[str, Any]]:
        return [call for call in self.calls() if call["method"] == "POST"]

    def task_id(self) -> str:
        """Return the id of the one task that was made; empty before."""
        answers = [call["answer"] for call in self.creates() if call["answer"]]
        return answers[0]["data"]["task_id"] if answers else ""

    def looks(self, task_id: str) -> int:
        return sum(call["path"].endswith(task_id) for call in self.calls())

    def move(self, **transitions: Any) -> None:
        self._json("PUT", "/sandbox/transitions", transitions)

    def script(self, endpoint: str, *faults: str) -> None:
        self._json("POST", "/sandbox/faults", {"endpoint": endpoint, "script": list(faults)})

    def met(self) -> list[str]:
        return [entry["fault"] for entry in self._json("GET", "/sandbox/faults")["met"]]

    def reset(self) -> None:
        self._json("POST", "/sandbox/reset")


@pytest.fixture(scope="session")
def vendor_process(
    plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Vendor]:
    folder = tmp_path_factory.mktemp("vendor")
    secret = "whsec_aW50ZWdyYXRpb24gdGVzdHMgc2lnbiBjYWxsYmFja3M="
    options = (
        *("--port", "0", "--state", str(folder / "state"), "--fetch", "any", "--callback-secret", secret),
        *("--quick-results", "--duplicates-allowed", "--parallel-limit", "100", "--transitions", "at once"),
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kling_direct.sandbox", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=plain_environment,
        cwd=folder,
    )
    with _ended_afterwards(process), httpx.Client(trust_env=False, timeout=30) as http:
        assert process.stdout is not None
        origin = process.stdout.readline().strip().removeprefix("Kling sandbox listens on ")
        yield Vendor(origin, secret, http)


@pytest.fixture
def vendor(vendor_process: Vendor, hermetic: None, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """The sandbox as the service `kling`: hosts are the public ones, and every task is ended at once."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KLINGAI_BASE_URL", vendor_process.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)
    vendor_process.reset()
    return vendor_process


@pytest.fixture(scope="session")
def s3_port(plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    pytest.importorskip("moto.server")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", SERVE_S3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=plain_environment,
        cwd=tmp_path_factory.mktemp("s3"),
    )
    with _ended_afterwards(process):
        assert process.stdout is not None
        yield int(process.stdout.readline())


@dataclass
class Bucket:
    """A bucket as its owner sees it; it keeps versions, so that every upload can be counted."""

    name: str
    client: Any = field(repr=False)

    def objects(self) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def uploads(self) -> int:
        return len(self.client.list_object_versions(Bucket=self.name).get("Versions", []))

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def body(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()


@pytest.fixture
def store_line(s3_port: int) -> Iterator[Line]:
    """The way to the S3 server."""
    line = Line(s3_port)
    yield line
    line.down()


@pytest.fixture
def bucket(vendor: Vendor, store_line: Line, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of this test's own, which KLING_DIRECT_STORE_URL names; it is reached through `store_line`."""
    for name, value in STORE_VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store_line.url)
    session = pytest.importorskip("botocore.session").get_session()
    client = session.create_client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}")
    name = f"clips-{time.monotonic_ns()}"
    monkeypatch.setenv("KLING_DIRECT_STORE_URL", f"s3://{name}")
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return Bucket(name, client)


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


@pytest.fixture
def gateway_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def tunnel(vendor: Vendor, gateway_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A tunnel to the gateway's port, as KLING_DIRECT_PUBLIC_URL names it."""
    line = Line(gateway_port)
    monkeypatch.setenv("KLING_DIRECT_GATEWAY_PORT", str(gateway_port))
    monkeypatch.setenv("KLING_DIRECT_PUBLIC_URL", line.url)
    yield line
    line.down()


@dataclass
class AheadClock:
    """The wall clock, which a test may put ahead."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
def clock() -> AheadClock:
    return AheadClock()


@pytest.fixture
def live_order(order: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maker of orders of the small inputs for the service `kling`."""

    def make(**changes: Any) -> Any:
        return order(**({"service": Service.KLING} | changes))

    return make


@dataclass
class Ended:
    """What a `kling-direct` left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """One `kling-direct` in a process of its own."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        program = shutil.which("kling-direct", path=os.path.dirname(sys.executable))  # noqa: PTH120 - a search path
        assert program, "kling-direct is not installed beside the interpreter"
        self.popen = subprocess.Popen(
            [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def kill(self) -> None:
        """End it as the kernel would: nothing in it runs any more."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> Ended:
        out, err = self.popen.communicate(timeout=ANSWER_SECONDS)
        return Ended(self.popen.returncode, out, err)


@pytest.fixture
def command(tmp_path: Path, hermetic: None) -> Iterator[Callable[..., Command]]:
    """Start the command line in this test's environment."""
    started: list[Command] = []

    def start(*arguments: Any) -> Command:
        started.append(Command(tuple(str(argument) for argument in arguments), tmp_path))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Return FFmpeg, called with arguments."""
    program = shutil.which("ffmpeg")
    if program is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg and ffprobe are not on PATH")

    def run(*arguments: Any) -> None:
        command = [program, "-v", "error", "-nostdin", *(str(argument) for argument in arguments)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    return run


@contextlib.contextmanager
def _ended_afterwards(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)
