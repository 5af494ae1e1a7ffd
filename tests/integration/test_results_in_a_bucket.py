"""Results in a bucket: what one machine bought all others deliver; a store that is down buys nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.cli.doctor import examine
from kling_once.errors import DownloadBroken, HostingError, KlingOnceError
from kling_once.files import file_digest
from kling_once.settings import load_settings
from tests.open_ledger import ask_ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.integration.bucket import Bucket
    from tests.integration.line import Line
    from tests.sandbox_control import SandboxControl


def test_a_result_lies_whole_in_the_bucket_with_its_sidecar_under_its_job_key(
    machine: Callable[..., Engine], bucket: Bucket, order: Callable[..., Any]
) -> None:
    outcome = machine("one").run(order(project="cats")).result(60)

    (video,) = bucket.videos()
    assert bucket.body(video) == outcome.path.read_bytes()
    assert video.startswith("videos/sandbox/cats/SANDBOX_figure_walk_t0_")
    sidecar = json.loads(bucket.body(f"videos/jobs/{outcome.label.key}/{video.rpartition('/')[2][:-4]}.json"))
    assert sidecar["task_id"] == outcome.attempt.task_id
    assert sidecar["digest"] == file_digest(outcome.path)
    assert bucket.uploads() == 2


def test_another_machine_with_a_ledger_of_its_own_buys_nothing(
    machine: Callable[..., Engine], order: Callable[..., Any], sandbox: SandboxControl, tmp_path: Path
) -> None:
    first = machine("one").run(order()).result(60)
    second = machine("two").run(order()).result(60)

    assert second.reused
    assert second.path.is_relative_to(tmp_path / "two" / "cache")
    assert second.path.read_bytes() == first.path.read_bytes()
    assert len(sandbox.creates()) == 1
    calls = len(sandbox.calls())
    assert machine("two").run(order()).result(60).reused
    assert len(sandbox.calls()) == calls, "the cache serves it"


def test_a_store_that_is_down_at_the_upload_keeps_it_later_and_buys_nothing_again(
    machine: Callable[..., Engine],
    order: Callable[..., Any],
    sandbox: SandboxControl,
    store_line: Line,
    bucket: Bucket,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    engine = machine("one")
    running = engine.run(order())
    eventually(sandbox.tasks, "the task")
    store_line.down()
    sandbox.move(policy="at once")

    with pytest.raises(DownloadBroken, match="could not be kept") as caught:
        running.result(100)
    assert "stays collectable" in caught.value.hint
    task_id = sandbox.tasks()[0]["task_id"]
    assert caught.value.task_id == task_id
    attempt = ask_ledger(engine, lambda ledger: ledger.find_attempt(task_id))
    assert attempt.state == "succeeded"

    store_line.up()
    assert machine("two").run(order(take=1)).result(60).path.is_file()
    assert engine.run(order()).result(60).path.is_file()
    assert len(sandbox.creates()) == 2
    assert len(bucket.videos()) == 2


def test_a_store_that_is_down_before_buys_nothing(
    machine: Callable[..., Engine], order: Callable[..., Any], sandbox: SandboxControl, store_line: Line
) -> None:
    store_line.down()
    with pytest.raises(HostingError, match="Looking for the result at s3://"):
        machine("one").run(order()).result(100)
    assert sandbox.creates() == []


def test_what_is_not_what_its_sidecar_says_is_not_delivered(
    machine: Callable[..., Engine], order: Callable[..., Any], sandbox: SandboxControl, bucket: Bucket
) -> None:
    machine("one").run(order()).result(60)
    (video,) = bucket.videos()
    bucket.put(video, b"something else")

    outcome = machine("two").run(order()).result(60)

    assert outcome.path.read_bytes() != b"something else"
    assert len(sandbox.creates()) == 1, "the task is found at the service, and fetched again"


def test_the_oldest_leave_the_cache_and_come_back_from_the_bucket(
    machine: Callable[..., Engine], order: Callable[..., Any], sandbox: SandboxControl
) -> None:
    sizes = machine("one").run(order()).result(60).path.stat().st_size
    engine = machine("two", cache_gb=2.5 * sizes / 1e9)
    paths = [engine.run(order(take=take)).result(60).path for take in range(4)]

    assert [path.is_file() for path in paths] == [False, False, True, True]
    creates = len(sandbox.creates())
    assert engine.run(order(take=1)).result(60).path.is_file()
    assert len(sandbox.creates()) == creates


def test_forgetting_with_the_file_deletes_it_from_the_bucket(
    machine: Callable[..., Engine], order: Callable[..., Any], bucket: Bucket
) -> None:
    engine = machine("one")
    outcome = engine.run(order()).result(60)

    gone = engine.store.forget(outcome.attempt)

    assert len(gone) == 3
    assert [key for key in bucket.objects() if key.startswith("videos/")] == []
    assert not outcome.path.exists()


def test_the_probe_fails_while_the_store_does(machine: Callable[..., Engine], store_line: Line) -> None:
    def found() -> bool:
        return next(one for one in examine(machine("one"), "") if one.subject == "results store").broken

    assert not found()
    store_line.down()
    assert found()


def test_an_address_that_is_none_is_refused_without_being_shown(
    hermetic: None, engines: Callable[..., Engine]
) -> None:
    with pytest.raises(KlingOnceError, match="KLING_ONCE_RESULTS") as caught:
        engines(results="ftp://user:geheim@host/x")
    assert "geheim" not in str(caught.value)
    assert load_settings(results="s3://bucket/x").results_url == "s3://bucket/x"
