"""A real ComfyUI with the pack linked in, and a sandbox beside it as the service.

REQUIRE_COMFYUI=1 makes a missing host a failure; `comfy` says where it is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.host.comfy import Comfy, Host, require_host
from tests.host.graphs import Graphs
from tests.host.sandbox_process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "host-lane-key-that-must-never-be-seen"
"""Configured as a real Kling key throughout, with an origin that nobody listens on."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/host/" in item.path.as_posix():
            item.add_marker(pytest.mark.host)
            item.add_marker(pytest.mark.timeout(600))


FIGURES: list[str] = []


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Take a measured figure for the summary."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for text in FIGURES:
        terminalreporter.write_line(f"host lane: {text}")


@pytest.fixture(scope="session")
def host() -> Host:
    return require_host("host")


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="session")
def sandbox(session_folder: Path) -> Iterator[SandboxProcess]:
    process = SandboxProcess(session_folder / "sandbox", "--quick-results", "--transitions", "polls:1")
    yield process
    process.stop()


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """Give a test a service that it may stop and start."""
    process = SandboxProcess(tmp_path / "sandbox", "--quick-results", "--transitions", "polls:1")
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def plain_sandbox(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin every test without faults, and end it with every fault met."""
    if "sandbox" not in request.fixturenames:
        yield
        return
    sandbox: SandboxProcess = request.getfixturevalue("sandbox")
    for endpoint in ("create", "get", "list", "result", "create-element", "get-element"):
        sandbox.script(endpoint)
    sandbox.tasks_take(polls=1)
    sandbox.set(quick_results=True, parallel_limit=200)
    yield
    assert sandbox.pending() == []


def settings_for(home: Path, sandbox: SandboxProcess, **more: str) -> dict[str, str]:
    return {
        "KLING_ONCE_HOME": str(home),
        "KLING_ONCE_SANDBOX_URL": sandbox.origin,
        "KLING_ONCE_POLL_SECONDS": "0.5",
        "KLING_ONCE_SETTLE_SECONDS": "3",
        "KLINGAI_API_KEY": KEY,
        "KLINGAI_BASE_URL": "http://127.0.0.1:9",
        **more,
    }


@pytest.fixture(scope="session")
def comfy(host: Host, session_folder: Path, sandbox: SandboxProcess) -> Iterator[Comfy]:
    """One ComfyUI for all tests that do not end it."""
    running = Comfy(host, session_folder / "base", settings_for(session_folder / "home", sandbox))
    yield running.start()
    running.stop()


@pytest.fixture
def own_comfy(host: Host, tmp_path: Path, sandbox: SandboxProcess) -> Iterator[Callable[..., Comfy]]:
    """Give ComfyUI processes of the test's own over one base folder and one home; not yet started."""
    made: list[Comfy] = []

    def make(*arguments: str, **environment: str) -> Comfy:
        settings = settings_for(tmp_path / "home", sandbox) | environment
        made.append(Comfy(host, tmp_path / "base", settings, arguments))
        return made[-1]

    yield make
    for running in made:
        running.stop()


@pytest.fixture(scope="session")
def graphs() -> Graphs:
    return Graphs()
