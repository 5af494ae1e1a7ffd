"""A paid result is never thrown away, whatever its download meets."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.api.download import DownloadPolicy
from kling_once.errors import DownloadBroken, DownloadRefused, KlingOnceError
from kling_once.jobs import collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("redirect-private", DownloadRefused, "https"),
        ("not-a-video", DownloadBroken, "not a playable video"),
        ("html", DownloadBroken, "not a playable video"),
    ],
)
def test_a_download_that_is_refused_leaves_the_result_collectable(
    fault: str,
    error: type[KlingOnceError],
    words: str,
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    results: Path,
) -> None:
    sandbox.script("result", fault)

    with pytest.raises(error, match=words) as caught:
        engine.run(order()).result(30)

    assert caught.value.task_id == sandbox.tasks()[0]["task_id"]
    assert "Nothing is lost" in caught.value.hint
    assert ledger_file.states() == ["succeeded"]
    assert not list(results.rglob("*.mp4"))
    assert not list(results.rglob("*.part"))
    assert engine.collect(caught.value.task_id).result(30).path.is_file()
    assert len(sandbox.creates()) == 1
    assert not sandbox.pending()


@pytest.mark.parametrize(("known", "charged"), [(None, "1.5"), ("7", "7")])
def test_a_charge_that_is_stated_late_is_written_down_with_the_result_and_none_is_replaced(
    known: str | None, charged: str, sandbox: SandboxControl, engine: Any, order: Any, ledger_file: LedgerFile
) -> None:
    sandbox.script("result", "not-a-video")
    with pytest.raises(DownloadBroken):
        engine.run(order()).result(30)
    ledger_file.change(units_charged=known)

    assert engine.run(order()).result(30).attempt.units_charged == Decimal(charged)


def test_an_endless_result_is_stopped_and_stays_collectable(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a cap of 2 MB in place of 4 GiB, which no test can wait for."""
    monkeypatch.setattr(collect, "DownloadPolicy", partial(DownloadPolicy, max_bytes=2_000_000))
    sandbox.script("result", "endless-stream")

    with pytest.raises(DownloadRefused, match="larger than 2,000,000 bytes"):
        engine.run(order()).result(30)

    assert ledger_file.states() == ["succeeded"]
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize(
    "script",
    [
        ("broken-stream-after-2000",),
        ("broken-stream-after-0", "broken-stream-after-3000", "reset"),
        ("status-500", "status-503"),
        ("expired-url",),
        ("expired-url", "expired-url", "broken-stream-after-1000"),
    ],
)
def test_a_broken_download_goes_on_where_it_stopped(
    script: tuple[str, ...], sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("result", *script)

    outcome = engine.run(order()).result(30)

    assert outcome.path.stat().st_size == outcome.attempt.result_size_bytes
    assert len(sandbox.creates()) == 1
    assert not sandbox.pending()


def test_a_link_that_stays_expired_is_given_up_and_stays_collectable(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("result", *["expired-url"] * 3)

    with pytest.raises(DownloadBroken, match="refuses the link"):
        engine.run(order()).result(30)

    assert ledger_file.states() == ["succeeded"]
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize("look", ["code-1002", "code-1101"])
def test_an_account_refused_at_the_download_is_named_as_such(
    look: str, sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("get", *["ok"] * 5, look)

    with pytest.raises(KlingOnceError, match=look.removeprefix("code-")) as caught:
        engine.run(order()).result(30)

    assert caught.value.task_id
    assert ledger_file.states() == ["succeeded"]


def test_a_network_that_breaks_at_the_download_is_no_full_disk(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    sandbox.script("get", *["ok"] * 5, *["reset"] * 12)

    with pytest.raises(KlingOnceError, match="broke before the answer"):
        engine.run(order()).result(30)


def test_a_file_of_the_users_own_is_kept_as_the_result(
    sandbox: SandboxControl, cli: Callable[..., Process], run_cli: Callable[..., Process], small_clip: Path
) -> None:
    sandbox.script("result", "not-a-video")
    broken = run_cli().end()
    assert broken.code == 1

    kept = cli("collect", broken.json["task_id"], "--from-file", small_clip, "--json").end()
    again = run_cli().end()

    assert kept.code == 0
    assert kept.json["status"] == "kept"
    assert again.json["reused"] is True
    assert again.json["path"] == kept.json["path"]
    assert small_clip.is_file()
    assert len(sandbox.creates()) == 1


def test_a_file_that_is_no_video_is_not_kept_as_the_result(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], small_picture: Path, tmp_path: Path
) -> None:
    sandbox.script("result", "not-a-video")
    with pytest.raises(DownloadBroken) as caught:
        engine.run(order()).result(30)
    text = tmp_path / "notes.mp4"
    text.write_text("no video")

    for path in (text, tmp_path / "missing.mp4"):
        with pytest.raises(KlingOnceError):
            engine.keep_file(caught.value.task_id, path).result(30)
    assert engine.run(order()).result(30).path.is_file()


def test_a_deleted_result_is_fetched_again_free(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    first = engine.run(order()).result(30)
    first.path.unlink()

    again = engine.run(order()).result(30)

    assert again.reused
    assert again.path.is_file()
    assert len(sandbox.creates()) == 1


def test_a_result_shorter_than_the_reference_is_reported(
    sandbox: SandboxControl, engines: Callable[..., Any], order: Callable[..., Any]
) -> None:
    sandbox.script("create", "short-output")

    outcome = engines().run(order()).result(30)

    assert "Delivered 1.8 s for a reference video of 3.0 s" in outcome.report()
    assert "does not refund" in outcome.report()


@pytest.fixture
def put_away(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> Callable[[], Path]:
    """Keep a result, take the drive with it away, order it while Kling refuses the key, and put it back."""

    def put() -> Path:
        first = engine.run(order()).result(30)
        away = first.path.with_suffix(".away")
        first.path.rename(away)
        sandbox.script("get", *["code-1002"] * 8)
        with pytest.raises(KlingOnceError, match="1002"):
            engine.run(order()).result(30)
        assert ledger_file.states() == ["succeeded"]
        away.rename(first.path)
        sandbox.script("get", *["reset"] * 60)
        return first.path

    return put


@pytest.mark.parametrize("kept_only", [False, True])
@pytest.mark.parametrize("with_sidecar", [True, False], ids=["sidecar here", "sidecar gone"])
def test_a_result_that_could_not_be_fetched_again_is_served_once_it_is_back(
    kept_only: bool,
    with_sidecar: bool,
    put_away: Callable[[], Path],
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    path = put_away()
    if not with_sidecar:
        path.with_suffix(".json").unlink()
    calls = len(sandbox.calls())

    assert engine.run(order(kept_only=kept_only)).result(30).path == path
    assert ledger_file.states() == ["kept"]
    assert len(sandbox.calls()) == calls, "a kept job needs nobody"


def test_a_result_that_could_not_be_fetched_again_is_collected_once_it_is_back(
    put_away: Callable[[], Path], sandbox: SandboxControl, engine: Any, ledger_file: LedgerFile
) -> None:
    path = put_away()
    (row,) = ledger_file.rows()

    assert engine.collect(row["task_id"]).result(30).path == path
    assert ledger_file.states() == ["kept"]
