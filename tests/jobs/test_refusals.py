"""A check says whether the order would be sent: whatever would refuse it is named, and nobody is asked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import KlingOnceError
from kling_once.order import SERVICES_OFF, Service, VideoUrl
from tests.open_ledger import ask_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.check import Checked
    from kling_once.jobs.engine import Engine
    from kling_once.order import Order
    from tests.sandbox_control import SandboxControl

CLIP = VideoUrl("https://clips.example.com/dance.mp4")


@pytest.fixture
def checked(engine: Engine, sandbox: SandboxControl, order: Callable[..., Order]) -> Callable[..., Checked]:
    def check(**changes: Any) -> Checked:
        before = sandbox.calls()
        found = engine.check(order(**changes)).result(60)
        assert sandbox.calls() == before
        return found

    return check


@pytest.fixture
def with_key(hermetic: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLINGAI_API_KEY", "key-of-the-tests")


def test_a_good_order_would_be_sent(checked: Any) -> None:
    assert checked().ok


def test_a_missing_key(checked: Any) -> None:
    found = checked(service=Service.KLING, video=CLIP)
    assert not found.ok
    assert "No Kling key is configured" in found.refusals[0]
    assert found.price is not None, "and the price is told all the same"


@pytest.mark.usefixtures("with_key")
def test_a_switch_that_holds_live_submissions(checked: Any, engine: Engine) -> None:
    assert checked(service=Service.KLING, video=CLIP).ok
    ask_ledger(engine, lambda ledger: ledger.hold())
    found = checked(service=Service.KLING, video=CLIP)
    assert not found.ok
    assert "on hold" in found.refusals[0]
    assert checked().ok, "the sandbox is free"


def test_a_limit_to_spending(checked: Any) -> None:
    found = checked(max_units=Decimal(1))
    assert not found.ok
    assert "max_units" in found.refusals[0]
    assert [one.field for one in checked(max_units=Decimal("nan")).violations] == ["max_units"]


def test_a_task_id_that_is_taken(checked: Any, engine: Engine, order: Callable[..., Order]) -> None:
    engine.run(order(take=1, external_task_id="mine")).result(60)
    found = checked(take=2, external_task_id="mine")
    assert not found.ok
    assert "belongs to another job" in found.refusals[0]
    assert checked(take=2, external_task_id="another").ok


def test_a_service_that_may_not_be_asked(checked: Any) -> None:
    found = checked(kept_only=True)
    assert found.refusals == (SERVICES_OFF,)
    assert not found.ok


def test_a_job_that_failed_because_of_its_input(
    checked: Any, engine: Engine, sandbox: SandboxControl, order: Callable[..., Order]
) -> None:
    sandbox.script("create", "code-1301")
    with pytest.raises(KlingOnceError):
        engine.run(order()).result(60)
    found = checked()
    assert not found.ok
    assert "nothing was submitted again" in found.refusals[0]


def test_a_kept_result_is_handed_over_whatever_stands_in_the_way(
    checked: Any, engine: Engine, order: Callable[..., Order]
) -> None:
    engine.run(order()).result(60)
    found = checked(max_units=Decimal("0.1"), callback_url="https://nobody.example.com")
    assert found.violations
    assert found.is_kept
    assert found.ok
    assert not found.refusals
