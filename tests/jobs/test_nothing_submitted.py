"""Where money could be lost track of, nothing is submitted, and the message says why."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import (
    BudgetReached,
    CredentialsChanged,
    DiskFull,
    KlingOnceError,
    LedgerError,
    LedgerNotWritable,
    MissingCredentials,
    NeverSent,
    OutcomeUnknown,
    UnknownProfile,
)
from kling_once.order import Service, VideoUrl
from kling_once.sandbox import DEFAULT_API_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount disks of a given size; skipped where that is not permitted."""
    mounted: list[Path] = []

    def mount(size: str, *flags: str) -> Path:
        point = tmp_path / f"disk-{len(mounted)}"
        point.mkdir()
        options = ",".join((f"size={size}", *flags))
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)],
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            pytest.skip(f"mounting a small disk is not permitted here: {made.stderr.strip()}")
        mounted.append(point)
        return point

    yield mount
    for point in mounted:
        subprocess.run(["umount", "-l", str(point)], check=False)


def test_a_ledger_that_is_a_folder(
    sandbox: SandboxControl, run_cli: Callable[..., Process], ledger_file: LedgerFile
) -> None:
    ledger_file.path.mkdir(parents=True)

    ended = run_cli().end()

    assert ended.code == 1
    assert ended.json["error"] == "LedgerNotWritable"
    assert str(ledger_file.path) in ended.json["message"]
    assert not sandbox.calls()


def test_a_home_that_cannot_be_written(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    small_disk: Callable[..., Path],
) -> None:
    with pytest.raises(LedgerNotWritable, match="Nothing is submitted"):
        engines(home=small_disk("1m", "ro")).run(order()).result(30)
    assert not sandbox.calls()


def test_a_ledger_that_becomes_read_only(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    small_disk: Callable[..., Path],
) -> None:
    home = small_disk("8m")
    first = engines(home=home)
    first.run(order()).result(30)
    first.close()
    subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)

    with pytest.raises(LedgerNotWritable):
        engines(home=home).run(order(take=1)).result(30)
    assert len(sandbox.creates()) == 1


def test_a_home_on_a_full_disk(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    small_disk: Callable[..., Path],
) -> None:
    home = small_disk("1m")
    _fill(home)

    with pytest.raises(LedgerNotWritable):
        engines(home=home).run(order()).result(30)
    assert not sandbox.creates()


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


def test_a_ledger_that_is_no_ledger(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    ledger_file.path.write_bytes(b"this is not a ledger\n" * 1000)

    with pytest.raises(LedgerError, match="damaged"):
        engine.run(order()).result(30)
    assert not sandbox.calls()


def test_an_owners_folder_that_cannot_be_made(
    sandbox: SandboxControl, run_cli: Callable[..., Process], home: Path
) -> None:
    home.mkdir()
    (home / "owners").write_text("in the way")

    ended = run_cli().end()

    assert ended.code == 1
    assert ended.json["error"] == "LedgerNotWritable"
    assert not sandbox.calls()


def test_a_results_folder_on_a_full_disk(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    small_disk: Callable[..., Path],
    ledger_file: LedgerFile,
) -> None:
    with pytest.raises(DiskFull, match="are free in") as caught:
        engines(results=small_disk("1m")).run(order()).result(30)

    assert "KLING_ONCE_RESULTS" in caught.value.hint
    assert not sandbox.creates()
    assert not ledger_file.rows()


def test_a_results_folder_that_is_a_file(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], results: Path
) -> None:
    results.write_text("in the way")

    with pytest.raises(DiskFull, match="cannot be written"):
        engine.run(order()).result(30)
    assert not sandbox.creates()


def test_a_disk_that_fills_up_after_paying_loses_nothing(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    small_disk: Callable[..., Path],
) -> None:
    engine = engines(results=small_disk("90m"))
    sandbox.script("result", "endless-stream")

    with pytest.raises(DiskFull, match="could not be written") as caught:
        engine.run(order()).result(60)

    assert caught.value.task_id == sandbox.tasks()[0]["task_id"]
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1
    assert not sandbox.pending()


def test_a_results_folder_that_is_gone_after_paying_is_said_in_words(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    results: Path,
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    future = engine.run(order())
    eventually(lambda: ledger_file.states() == ["submitted"], "the task")
    results.rename(results.with_name("moved"))
    results.write_text("in the way")
    sandbox.move(policy="at once")

    with pytest.raises(DiskFull, match="paid and stays collectable"):
        future.result(30)

    results.unlink()
    assert engine.run(order()).result(30).path.is_file()
    assert len(sandbox.creates()) == 1


class TestKeys:
    """With service `kling`, whose origin is the sandbox."""

    @pytest.fixture(autouse=True)
    def _at_kling(self, sandbox: SandboxControl, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
        monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)

    @pytest.fixture
    def live(
        self, order: Callable[..., Any], sandbox: SandboxControl, small_clip: Path
    ) -> Callable[..., Any]:
        url = sandbox.upload(small_clip)
        return lambda **changes: order(service=Service.KLING, video=VideoUrl(url), **changes)

    def test_a_changed_key_does_not_settle_or_submit(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        live: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        sandbox.script("create", "reset-after-accept")
        sandbox.script("get", *["ok"] * 4, *["status-502"] * 60)
        with pytest.raises(OutcomeUnknown):
            engines(settle_seconds=0.2).run(live()).result(30)
        calls = len(sandbox.calls())
        monkeypatch.setenv("KLINGAI_API_KEY", "another-key-0123456789abcdefghijkl")

        with pytest.raises(CredentialsChanged, match="default profile") as caught:
            engines().run(live()).result(30)

        assert "Configure the same key again" in caught.value.hint
        assert len(sandbox.calls()) == calls
        monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)
        sandbox.script("get")
        assert engines().run(live()).result(30).path.is_file()
        assert len(sandbox.creates()) == len(sandbox.tasks()) == 1

    def test_a_removed_profile_does_not_fall_back_to_the_environment(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        live: Callable[..., Any],
        tmp_path: Path,
        ledger_file: LedgerFile,
        eventually: Callable[..., Any],
    ) -> None:
        file = tmp_path / "credentials.json"
        profile = {"api_key": DEFAULT_API_KEY, "base_url": sandbox.origin}
        file.write_text(json.dumps({"profiles": {"studio": profile}}))
        file.chmod(0o600)
        sandbox.move(policy="polls", polls=100_000)
        engine = engines(credentials_file=file)
        engine.run(live(profile="studio"))
        eventually(lambda: ledger_file.states() == ["submitted"], "the task")
        engine.close()
        file.write_text(json.dumps({"profiles": {"other": profile}}))
        calls = len(sandbox.calls())
        (row,) = ledger_file.rows()

        with pytest.raises(UnknownProfile, match="it has: 'other'"):
            engines(credentials_file=file).run(live(profile="studio")).result(30)
        with pytest.raises(CredentialsChanged, match="studio"):
            engines(credentials_file=file).collect(row["task_id"]).result(30)
        assert len(sandbox.calls()) == calls

    def test_an_intent_that_was_never_sent_goes_on_with_another_key(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        live: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        ledger_file: LedgerFile,
    ) -> None:
        sandbox.script("get", *["ok"] * 3, *["status-502"] * 20)
        with pytest.raises(KlingOnceError):
            engines().run(live()).result(30)
        assert ledger_file.states() == ["intent"]
        sandbox.script("get")
        ledger_file.change(fingerprint="of a key that is gone")

        assert engines().run(live()).result(30).path.is_file()
        assert len(sandbox.creates()) == len(sandbox.tasks()) == 1

    def test_no_key_at_all(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        live: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        ledger_file: LedgerFile,
    ) -> None:
        monkeypatch.delenv("KLINGAI_API_KEY")

        with pytest.raises(MissingCredentials, match="No Kling key"):
            engines().run(live()).result(30)
        assert not sandbox.calls()
        assert not ledger_file.rows()

    def test_an_address_nobody_listens_at(
        self, engines: Callable[..., Any], live: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KLINGAI_BASE_URL", "http://127.0.0.1:9")

        with pytest.raises(NeverSent, match="cannot be reached"):
            engines().run(live()).result(30)

    def test_a_budget_reached_names_sum_limit_and_setting(
        self, sandbox: SandboxControl, engines: Callable[..., Any], live: Callable[..., Any]
    ) -> None:
        engine = engines(max_units_per_day=Decimal(16))
        engine.run(live()).result(30)

        with pytest.raises(BudgetReached) as caught:
            engine.run(live(take=1)).result(30)

        for part in ("15 units", "16 units", "KLING_ONCE_MAX_UNITS_PER_DAY"):
            assert part in str(caught.value)
        assert "Nothing was submitted" in caught.value.hint
        assert len(sandbox.creates()) == 1
        assert engine.run(live()).result(30).reused, "what is kept costs nothing"
        assert os.environ["KLINGAI_API_KEY"] not in str(caught.value)
