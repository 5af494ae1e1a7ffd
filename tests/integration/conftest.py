"""Whole runs with every part real: a sandbox that fetches any URL, an S3 server, a tunnel, the command line.

Each of them is a process of its own; only the tunnel is threads of this one, because a test takes it down.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kling_once.clock import SystemClock
from kling_once.order import Service
from kling_once.sandbox import DEFAULT_API_KEY
from tests.integration.bucket import Bucket
from tests.integration.line import Line
from tests.integration.vendor import Vendor
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

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


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """The machine's environment without anything that steers Kling Once, a store or a proxy."""
    steers = ("KLING_ONCE_", "KLINGAI_", "AWS_", "GOOGLE_", "AZURE_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(steers) and not name.lower().endswith("_proxy")
    }


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
        [sys.executable, "-P", "-m", "kling_once.sandbox", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=plain_environment,
        cwd=folder,
    )
    with _ended_afterwards(process), httpx.Client(trust_env=False, verify=False, timeout=30) as http:
        assert process.stdout is not None
        origin = process.stdout.readline().strip().removeprefix("Kling sandbox listens on ")
        yield Vendor(origin, http, callback_secret=secret)


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


@pytest.fixture
def store_line(s3_port: int) -> Iterator[Line]:
    """The way to the S3 server."""
    line = Line(s3_port)
    yield line
    line.down()


@pytest.fixture
def bucket(vendor: Vendor, store_line: Line, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of this test's own, which KLING_ONCE_STORE_URL names; it is reached through `store_line`."""
    for name, value in STORE_VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store_line.url)
    session = pytest.importorskip("botocore.session").get_session()
    client = session.create_client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}")
    name = f"clips-{time.monotonic_ns()}"
    monkeypatch.setenv("KLING_ONCE_STORE_URL", f"s3://{name}")
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return Bucket(name, client)


@pytest.fixture
def machine(
    sandbox: SandboxControl,
    bucket: Bucket,
    engines: Callable[..., Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Engine]:
    """Start an engine of a machine that shares the bucket of results with others, and no disk."""
    monkeypatch.setenv("KLING_ONCE_RESULTS", f"s3://{bucket.name}/videos")

    def start(name: str, **settings: Any) -> Engine:
        folder = tmp_path / name
        return engines(home=folder / "home", cache=folder / "cache", **settings)

    return start


@pytest.fixture
def gateway_port() -> int:
    return free_port()


@pytest.fixture
def tunnel(vendor: Vendor, gateway_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A tunnel to the gateway's port, as KLING_ONCE_PUBLIC_URL names it."""
    line = Line(gateway_port)
    monkeypatch.setenv("KLING_ONCE_GATEWAY_PORT", str(gateway_port))
    monkeypatch.setenv("KLING_ONCE_PUBLIC_URL", line.url)
    yield line
    line.down()


class AheadClock(SystemClock):
    """The wall clock, which a test may put ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> AheadClock:
    return AheadClock()


@pytest.fixture
def live_order(order: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maker of orders of the small inputs for the service `kling`."""

    def make(**changes: Any) -> Any:
        return order(**({"service": Service.KLING} | changes))

    return make


@pytest.fixture
def command(cli: Callable[..., Process]) -> Callable[..., Process]:
    """Start the command line in this test's environment."""
    return lambda *arguments: cli(*map(str, arguments))


@contextlib.contextmanager
def _ended_afterwards(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)
