"""One ledger on PostgreSQL, results in a bucket, no common disk: whatever breaks, each task is paid once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import DownloadBroken
from tests.fleet.conftest import Fleet
from tests.ledger.stores import migrated_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.integration.bucket import Bucket
    from tests.integration.line import Line
    from tests.postgresql import Postgresql
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.fleet
DIES_BEFORE_THE_UPLOAD = (
    "import os, signal, sys; from kling_once.results.bucket import BucketStore;"
    "BucketStore._upload = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
    "from kling_once.cli.app import main; sys.argv[0] = 'kling-once'; main()"
)


@pytest.fixture
def fleet(postgresql: Postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    made = Fleet(postgresql, postgresql.new_database(migrated_database(postgresql)), tmp_path)
    monkeypatch.setenv("KLING_ONCE_LEDGER_URL", made.url)
    yield made
    postgresql.drop(made.database)


def test_two_workers_without_a_common_disk_deliver_the_same_jobs_video(
    machine: Callable[..., Engine],
    order: Callable[..., Any],
    sandbox: SandboxControl,
    fleet: Fleet,
) -> None:
    first = machine("one").run(order()).result(60)
    sandbox.script("result", *["status-404"] * 20)

    second = machine("two").run(order()).result(60)

    assert second.path.read_bytes() == first.path.read_bytes()
    assert sandbox.pending() == ["status-404"] * 20, "it came from the bucket"
    assert fleet.states() == ["kept"]


def test_a_bucket_that_fails_in_mid_upload_keeps_the_video_later(
    machine: Callable[..., Engine],
    order: Callable[..., Any],
    sandbox: SandboxControl,
    store_line: Line,
    bucket: Bucket,
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:
    def hold_after_the_first_part(first: bytes) -> None:
        if b"partNumber" in first:
            store_line.hold = b"PUT"

    with monkeypatch.context() as small_parts:
        small_parts.setattr("kling_once.results.bucket.PART_BYTES", 1024)
        store_line.before = hold_after_the_first_part
        running = machine("one").run(order())
        assert store_line.held.wait(60), "a part of the video is on its way"
        eventually(bucket.parts, "the first part")
        store_line.down()
        with pytest.raises(DownloadBroken, match="could not be kept"):
            running.result(100)

    assert fleet.states() == ["succeeded"]
    assert bucket.videos() == []
    store_line.hold, store_line.before = b"", lambda _first: None
    store_line.up()
    outcome = machine("two").run(order()).result(60)
    assert bucket.body(*bucket.videos()) == outcome.path.read_bytes()
    assert fleet.states() == ["kept"]
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("moment", ["between download and upload", "in the upload"])
def test_a_worker_that_is_killed_loses_nothing(
    moment: str,
    machine: Callable[..., Engine],
    order: Callable[..., Any],
    sandbox: SandboxControl,
    python: Callable[..., Process],
    store_line: Line,
    bucket: Bucket,
    fleet: Fleet,
) -> None:
    bought = order()
    arguments = ("run", str(bought.image), str(bought.video.path), "--json")
    folder = fleet.folder / "three"
    home = {"KLING_ONCE_HOME": str(folder / "home"), "KLING_ONCE_CACHE": str(folder / "cache")}
    if moment == "in the upload":
        store_line.hold = b"PUT"
        process = python("-m", "kling_once.cli.app", *arguments, **home)
        assert store_line.held.wait(60)
        process.kill()
        store_line.hold = b""
    else:
        process = python("-c", DIES_BEFORE_THE_UPLOAD, *arguments, **home)
        assert process.popen.wait(60) == -signal.SIGKILL
    fleet.bury(process)
    assert bucket.videos() == []

    outcome = machine("two").run(order()).result(60)

    assert bucket.body(*bucket.videos()) == outcome.path.read_bytes()
    assert fleet.states() == ["kept"]
    assert len(sandbox.tasks()) == len(sandbox.creates()) == 1
