"""The vendor's two APIs behind one job: the same key, and an attempt stays where it was sent."""

from __future__ import annotations

import json
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.accounts.accounts import Accounts
from kling_once.clock import SystemClock
from kling_once.errors import OutcomeUnknown, SettingsError, StillRunning
from kling_once.order import Service
from kling_once.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

FINGERPRINT_KEY = bytes(range(32))
JOBS = 60
POLL_SECONDS = 1
LOOKS_BEFORE_CREATE = ["ok"] * 4


@pytest.fixture
def speaking(
    sandbox: SandboxControl, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Engine]:
    """Start an engine over this test's home that sends new tasks to one of the two APIs."""

    def start(generation: str, **settings: Any) -> Engine:
        monkeypatch.setenv("KLINGAI_API_GENERATION", generation)
        return engines(**settings)

    return start


@pytest.mark.parametrize(("before", "after"), [("legacy", "standard"), ("standard", "legacy")])
def test_a_kept_job_is_served_whichever_api_it_was_made_on(
    sandbox: SandboxControl,
    speaking: Callable[..., Engine],
    order: Callable[..., Any],
    before: str,
    after: str,
) -> None:
    made = speaking(before).run(order()).result(30)
    assert made.attempt.generation == before

    served = speaking(after).run(order()).result(30)

    assert served.reused
    assert served.label.key == made.label.key
    assert len(sandbox.creates()) == 1


@pytest.mark.parametrize(("before", "after"), [("legacy", "standard"), ("standard", "legacy")])
def test_a_task_under_way_is_collected_where_it_was_made(
    sandbox: SandboxControl,
    speaking: Callable[..., Engine],
    order: Callable[..., Any],
    before: str,
    after: str,
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    with pytest.raises(StillRunning):
        speaking(before).run(order(wait_minutes=0.005)).result(30)
    sandbox.move(policy="at once")
    seen = len(sandbox.calls())

    collected = speaking(after).run(order()).result(30)

    assert collected.path.is_file()
    assert len(sandbox.creates()) == 1
    asked = [call["path"] for call in sandbox.calls()[seen:] if "/sandbox/" not in call["path"]]
    assert asked
    assert all(("/v1/" in path) == (before == "legacy") for path in asked)


@pytest.mark.parametrize(("before", "after"), [("legacy", "standard"), ("standard", "legacy")])
def test_a_lost_answer_is_settled_where_it_was_sent(
    sandbox: SandboxControl,
    speaking: Callable[..., Engine],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
    before: str,
    after: str,
) -> None:
    sandbox.script("create", "reset-after-accept")
    sandbox.script("get", *LOOKS_BEFORE_CREATE, *["status-502"] * 60)
    with pytest.raises(OutcomeUnknown):
        speaking(before, settle_seconds=0.1).run(order()).result(30)
    sandbox.script("get")
    assert ledger_file.states() == ["unknown"]

    speaking(after).run(order()).result(30)

    assert len(sandbox.creates()) == 1
    assert ledger_file.rows()[0]["generation"] == before


def test_sixty_waiting_jobs_cost_at_most_four_calls_a_poll(
    sandbox: SandboxControl,
    speaking: Callable[..., Engine],
    order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    engine = speaking("standard", poll_seconds=POLL_SECONDS, max_parallel=JOBS)
    sandbox.move(policy="polls", polls=100_000)
    for pending in [engine.submit(order(take=take)) for take in range(JOBS)]:
        pending.result(90)
    outcomes = [engine.run(order(take=take)) for take in range(JOBS)]
    seen = len(looks(sandbox))
    eventually(lambda: len({*chain(*looks(sandbox)[seen:])}) == JOBS, "a look at each job")

    began, before = time.monotonic(), len(looks(sandbox))
    eventually(lambda: len(looks(sandbox)) >= before + 24, "more looks")
    calls = len(looks(sandbox)) - before
    polls = 1 + (time.monotonic() - began) / POLL_SECONDS
    assert calls <= 4 * polls

    sandbox.move(policy="at once")
    for pending in outcomes:
        assert pending.result(60).path.is_file()
    assert len(sandbox.creates()) == JOBS


@pytest.mark.process
@pytest.mark.parametrize("fault", ["status-502", "garbage-json", "reset"])
def test_a_bad_answer_about_twenty_tasks_spoils_none_of_them(
    fault: str,
    sandbox: SandboxControl,
    speaking: Callable[..., Engine],
    order: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    engine = speaking("standard", max_parallel=20)
    sandbox.move(policy="polls", polls=100_000)
    for pending in [engine.submit(order(take=take)) for take in range(20)]:
        pending.result(90)
    outcomes = [engine.run(order(take=take)) for take in range(20)]

    sandbox.script("get", *[fault] * 3)
    eventually(lambda: not [left for left in sandbox.pending() if left == fault], "the bad answers")
    sandbox.move(policy="at once")

    for pending in outcomes:
        assert pending.result(60).path.is_file()
    assert len(sandbox.creates()) == 20


def looks(sandbox: SandboxControl) -> list[list[str]]:
    """Return which tasks each look of the second generation asked for."""
    found = [call["path"].partition("?task_ids=")[2] for call in sandbox.calls()]
    return [ids.replace("%2C", ",").split(",") for ids in found if ids]


def test_an_access_key_is_refused_in_words_on_the_newer_api(
    hermetic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLINGAI_ACCESS_KEY", "access-key-of-a-test")
    monkeypatch.setenv("KLINGAI_SECRET_KEY", "secret-key-of-a-test")
    monkeypatch.setenv("KLINGAI_API_GENERATION", "standard")
    accounts = Accounts(load_settings(), SystemClock())
    with pytest.raises(SettingsError, match="takes an API key") as caught:
        accounts.account(Service.KLING, "", FINGERPRINT_KEY)
    assert "secret-key" not in str(caught.value)


def test_a_profile_says_which_api_it_speaks(hermetic: None, tmp_path: Path) -> None:
    settings = load_settings()
    settings.credentials_file.parent.mkdir(parents=True, exist_ok=True)
    profiles = {
        "new": {"api_key": "key-of-a-test-1", "api": "standard"},
        "old": {"api_key": "key-of-a-test-2"},
    }
    settings.credentials_file.write_text(json.dumps({"profiles": profiles}))
    settings.credentials_file.chmod(0o600)
    accounts = Accounts(settings, SystemClock())
    generations = {
        name: accounts.account(Service.KLING, name, FINGERPRINT_KEY).generation for name in profiles
    }
    assert generations == {"new": "standard", "old": "legacy"}


def test_an_unknown_api_of_a_profile_is_told(hermetic: None) -> None:
    settings = load_settings()
    settings.credentials_file.parent.mkdir(parents=True, exist_ok=True)
    settings.credentials_file.write_text('{"profiles": {"x": {"api_key": "key-of-a-test-1", "api": "v9"}}}')
    settings.credentials_file.chmod(0o600)
    with pytest.raises(SettingsError, match="legacy, standard"):
        Accounts(settings, SystemClock()).account(Service.KLING, "x", FINGERPRINT_KEY)
