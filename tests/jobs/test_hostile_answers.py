"""A paid task stays within reach of `collect`, and is never bought again, whatever Kling's answers hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import DownloadBroken, KlingOnceError, OutcomeUnknown, ResultGone, TaskFailed
from kling_once.jobs.tasks import link_expiry
from kling_once.order import Service, VideoUrl
from tests.hostile_vendor import LINK, ORIGIN, Hostility

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.engine import Engine
    from tests.hostile_vendor import Vendor
    from tests.jobs.conftest import LedgerFile

FOR_EVER = 10**6

pytestmark = pytest.mark.both_generations


@pytest.fixture
def asked(order: Callable[..., Any]) -> Callable[..., Any]:
    return partial(order, service=Service.KLING, video=VideoUrl("https://a.example/a.mp4"))


@pytest.mark.parametrize("task_id", ["a/b", "a+b=", "x" * 129, "\x1b[31m", "777"])
def test_a_task_is_found_by_our_own_name_for_it(
    task_id: str, vendor: Vendor, live: Engine, asked: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    vendor.hostility = Hostility({"task_id": task_id}, gets=0)

    assert live.run(asked()).result(30).path.is_file()

    assert vendor.creates.total() == 1
    (row,) = ledger_file.rows()
    assert row["task_id"] == vendor.tasks[row["external_id"]]


@pytest.mark.parametrize("task_id", ["a/b", "\x1b[31m", "777"])
def test_a_task_whose_id_can_never_be_asked_for_is_delivered_all_the_same(
    task_id: str, vendor: Vendor, live: Engine, asked: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    vendor.hostility = Hostility({"task_id": task_id}, gets=FOR_EVER)

    first = live.run(asked()).result(30)

    (row,) = ledger_file.rows()
    first.path.unlink()
    assert live.collect(row["external_id"]).result(30).path.is_file()
    assert vendor.creates.total() == 1


def test_another_jobs_task_is_not_delivered_as_ours(
    vendor: Vendor, live: Engine, asked: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    live.run(asked()).result(30)
    (other,) = ledger_file.rows()
    vendor.hostility = Hostility(
        {"task_id": other["task_id"], "task_info": {"external_task_id": other["external_id"]}}, gets=0
    )

    assert live.run(asked(take=1)).result(30).path.is_file()

    rows = ledger_file.rows()
    assert rows[0]["task_id"] != rows[1]["task_id"]
    assert vendor.creates.total() == 2


def test_after_a_create_nothing_says_that_nothing_was_sent(
    vendor: Vendor, live: Engine, asked: Callable[..., Any]
) -> None:
    vendor.hostility = Hostility({"task_id": "a/b", "task_info": {}}, gets=FOR_EVER)

    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as caught:
            live.run(asked()).result(30)
        said = str(caught.value).lower()
        assert "nothing was sent" not in said
        assert "nothing was submitted" not in said
    assert vendor.creates.total() == 1
    vendor.hostility = Hostility(gets=0)
    assert live.run(asked()).result(30).path.is_file()
    assert vendor.creates.total() == 1


def test_a_time_in_seconds_and_a_refused_link_make_nothing_gone(
    vendor: Vendor, live: Engine, asked: Callable[..., Any]
) -> None:
    seconds = int(datetime.now(UTC).timestamp())
    vendor.hostility = Hostility({"created_at": seconds}, gets=FOR_EVER, link_status=403, links=3)

    with pytest.raises(DownloadBroken):
        live.run(asked()).result(30)
    assert live.run(asked()).result(30).path.is_file()
    assert vendor.creates.total() == 1


def test_a_result_is_gone_when_its_own_link_says_so(
    vendor: Vendor, live: Engine, asked: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    live.run(asked()).result(30).path.unlink()
    ledger_file.change(submitted_at=1_600_000_000_000)
    yesterday = int((datetime.now(UTC) - timedelta(days=1)).timestamp())
    signed = {"videos": [{"id": "v", "url": f"{ORIGIN}{LINK}?Expires={yesterday}&Signature=x"}]}
    vendor.hostility = Hostility({"task_result": signed}, gets=FOR_EVER, link_status=403, links=FOR_EVER)

    with pytest.raises(ResultGone, match="no longer knows"):
        live.run(asked()).result(30)
    assert vendor.creates.total() == 1


def test_a_refused_link_alone_makes_an_old_result_not_gone(
    vendor: Vendor, live: Engine, asked: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    live.run(asked()).result(30).path.unlink()
    old = 1_700_000_000_000
    ledger_file.change(submitted_at=old, vendor_created_at=old)
    vendor.hostility = Hostility({"created_at": old}, gets=FOR_EVER, link_status=403, links=3)

    with pytest.raises(DownloadBroken):
        live.run(asked()).result(30)
    assert live.run(asked()).result(30).path.is_file()


@pytest.mark.parametrize("units", ["2 units", ["2"], {"units": 2}])
def test_a_failed_task_whose_charge_cannot_be_read_is_not_bought_again(
    units: Any, vendor: Vendor, live: Engine, asked: Callable[..., Any]
) -> None:
    vendor.status = "failed"
    vendor.hostility = Hostility({"final_unit_deduction": units}, gets=FOR_EVER)

    for _ in range(2):
        with pytest.raises(TaskFailed, match="a charge of unknown size"):
            live.run(asked()).result(30)
    assert vendor.creates.total() == 1


def test_texts_with_half_a_character_end_in_words(
    vendor: Vendor, live: Engine, asked: Callable[..., Any]
) -> None:
    vendor.status = "failed"
    vendor.hostility = Hostility({"task_status_msg": "no \ud83d luck \x1b[31m"}, gets=FOR_EVER)

    with pytest.raises(TaskFailed) as caught:
        live.run(asked()).result(30)
    assert str(caught.value).isprintable()


def test_a_fetched_id_that_is_answered_with_another_task_is_not_adopted(
    vendor: Vendor, live: Engine, asked: Callable[..., Any]
) -> None:
    from kling_once.jobs.recovery import Wanted  # noqa: PLC0415 - for this test alone

    outcome = live.run(asked()).result(30)
    vendor.tasks["made-elsewhere"] = "9001"
    vendor.hostility = Hostility({"task_id": "9002"}, gets=FOR_EVER)

    with pytest.raises(KlingOnceError):
        live.fetch(Wanted("9001", Service.KLING)).result(30)
    assert outcome.path.is_file()


@pytest.mark.parametrize("expires", ["²", "9" * 5000, "1e9", "-1", "", "٣"])
def test_a_links_expiry_that_is_no_time_is_none(expires: str) -> None:
    assert link_expiry(f"{ORIGIN}{LINK}?Expires={expires}") is None
