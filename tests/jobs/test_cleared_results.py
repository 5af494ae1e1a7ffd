"""Kling clears results after 30 days: then the file that is kept here is the only one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.clock import SystemClock
from kling_once.errors import DownloadBroken, ResultGone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox_control import SandboxControl


class MovableTime:
    """The sandbox's clock, which a test may set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> float:
        return time.time() + self.ahead.total_seconds()


@pytest.fixture
def sandbox_time() -> MovableTime:
    return MovableTime()


@pytest.fixture
def sandbox(
    sandboxes: Callable[..., SandboxControl],
    sandbox_time: MovableTime,
    hermetic: None,
    monkeypatch: pytest.MonkeyPatch,
) -> SandboxControl:
    control = sandboxes(now=sandbox_time)
    monkeypatch.setenv("KLING_ONCE_SANDBOX_URL", control.origin)
    return control


def test_a_deleted_result_is_gone_with_its_date_and_price(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], sandbox_time: MovableTime
) -> None:
    first = engine.run(order()).result(30)
    first.path.unlink()
    sandbox_time.ahead = timedelta(days=31)

    with pytest.raises(ResultGone) as caught:
        engine.run(order()).result(30)

    assert f"{datetime.now(UTC):%Y-%m-%d}" in caught.value.message
    assert "1.5 units" in caught.value.message
    assert "raise take" in caught.value.hint
    assert len(sandbox.creates()) == 1
    with pytest.raises(ResultGone):
        engine.run(order(again=True)).result(30)
    assert len(sandbox.creates()) == 1


def test_a_result_put_back_by_hand_is_served_again(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], sandbox_time: MovableTime
) -> None:
    """The drive with the results was not there for a while."""
    first = engine.run(order()).result(30)
    away = first.path.with_suffix(".away")
    first.path.rename(away)
    sandbox_time.ahead = timedelta(days=31)
    with pytest.raises(ResultGone):
        engine.run(order()).result(30)
    away.rename(first.path)

    assert engine.run(order()).result(30).path == first.path


def test_a_result_moved_within_the_results_folder_is_not_gone(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    sandbox_time: MovableTime,
    results: Path,
) -> None:
    first = engine.run(order(project="old")).result(30)
    (results / "sandbox" / "old").rename(results / "sandbox" / "sorted by hand")
    sandbox_time.ahead = timedelta(days=31)

    again = engine.run(order(project="old")).result(30)
    collected = engine.collect(first.attempt.task_id).result(30)

    assert again.path == collected.path
    assert again.path.parent.name == "sorted by hand"


def test_a_result_in_another_results_folder_is_named_and_can_be_handed_over(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    sandbox_time: MovableTime,
    tmp_path: Path,
) -> None:
    """ComfyUI and the command line share a ledger, and may keep results in a folder each."""
    first = engines(results=tmp_path / "output").run(order()).result(30)
    sandbox_time.ahead = timedelta(days=31)
    engine = engines(results=tmp_path / "of the command line")

    with pytest.raises(ResultGone) as caught:
        engine.run(order()).result(30)

    assert first.attempt.result_path in caught.value.message
    assert "not kept" not in caught.value.message
    assert "KLING_ONCE_RESULTS" in caught.value.hint
    assert f"collect {first.attempt.task_id} --from-file" in caught.value.hint
    assert engine.keep_file(first.attempt.task_id, first.path).result(30).path.is_file()
    assert engine.run(order()).result(30).reused


def test_a_result_never_fetched_is_served_once_its_file_is_handed_over(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    sandbox_time: MovableTime,
    small_clip: Path,
) -> None:
    sandbox.script("result", "not-a-video")
    with pytest.raises(DownloadBroken) as broken:
        engine.run(order()).result(30)
    sandbox_time.ahead = timedelta(days=31)
    with pytest.raises(ResultGone, match="was not kept here") as caught:
        engine.run(order()).result(30)

    assert f"collect {broken.value.task_id} --from-file" in caught.value.hint
    kept = engine.keep_file(broken.value.task_id, small_clip).result(30)
    assert engine.run(order()).result(30).path == kept.path


def test_a_result_never_fetched_is_gone(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], sandbox_time: MovableTime
) -> None:
    sandbox.script("result", "not-a-video")
    with pytest.raises(DownloadBroken):
        engine.run(order()).result(30)
    sandbox_time.ahead = timedelta(days=31)

    for _ in range(2):
        with pytest.raises(ResultGone, match="30 days"):
            engine.run(order()).result(30)
    assert len(sandbox.creates()) == 1


def test_our_own_wrong_clock_declares_nothing_gone(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    """Forty days ahead, and twice the task is found by neither of its ids."""

    class Ahead(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(days=40)

    missed = ["not-found-once"] * 2
    sandbox.script("get", *["ok"] * 4, *missed, "ok", *missed)

    engine = engines(clock=Ahead())
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1
    assert not sandbox.pending()
