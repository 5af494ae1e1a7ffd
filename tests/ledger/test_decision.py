"""What queueing means: the whole table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from kling_once.errors import LedgerTooNew, ResultGone, TaskFailed
from kling_once.ledger.attempts import Attempt, AttemptState
from kling_once.ledger.decision import (
    CarryOn,
    Open,
    Refuse,
    Reopen,
    Serve,
    charge_text,
    failure,
    gone,
    input_advice,
    next_step,
)

MOMENT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def attempt(state: AttemptState, number: int = 1, **changes: Any) -> Attempt:
    blank: dict[str, Any] = dict.fromkeys(Attempt.__dataclass_fields__)
    known = {"attempt_id": number, "job_key": "v1", "number": number, "state": state, "posts": 1}
    return Attempt(**(blank | known | changes))


S = AttemptState
BODY = "Image recognition failed. No complete upper body detected in the image"


@pytest.mark.parametrize(
    ("attempts", "again", "step"),
    [
        ([], False, Open(1)),
        ([], True, Open(1)),
        ([attempt(S.INTENT)], False, CarryOn),
        ([attempt(S.UNKNOWN)], True, CarryOn),
        ([attempt(S.SUBMITTED)], True, CarryOn),
        ([attempt(S.SUCCEEDED)], True, CarryOn),
        ([attempt(S.KEPT)], False, Serve),
        ([attempt(S.KEPT)], True, Serve),
        ([attempt(S.KEPT), attempt(S.FAILED, 2)], True, Serve),
        ([attempt(S.FAILED), attempt(S.KEPT, 2)], False, Serve),
        ([attempt(S.EXPIRED)], False, ResultGone),
        ([attempt(S.EXPIRED)], True, ResultGone),
        ([attempt(S.EXPIRED, made_element_id="7")], False, Open(2)),
        ([attempt(S.FAILED), attempt(S.EXPIRED, 2, made_element_id="7")], False, Open(3)),
        ([attempt(S.REJECTED, reason_code=1102)], False, Reopen),
        ([attempt(S.REJECTED, reason_code=1201)], False, Reopen),
        ([attempt(S.REJECTED, reason_code=1300)], False, TaskFailed),
        ([attempt(S.REJECTED, reason_code=1301)], False, TaskFailed),
        ([attempt(S.REJECTED, reason_code=1301)], True, Reopen),
        ([attempt(S.FAILED, reason="internal error")], False, Open(2)),
        ([attempt(S.FAILED, reason=None)], False, Open(2)),
        ([attempt(S.FAILED, reason=BODY)], False, TaskFailed),
        ([attempt(S.FAILED, reason=BODY)], True, Open(2)),
        ([attempt(S.FAILED, units_charged=Decimal(2))], False, TaskFailed),
        ([attempt(S.FAILED, units_charged=Decimal(2))], True, Open(2)),
        ([attempt(S.FAILED, units_charged=Decimal(0))], False, Open(2)),
        ([attempt(S.FAILED, cash_charged=Decimal("0.2"))], False, TaskFailed),
        ([attempt(S.FAILED), attempt(S.FAILED, 2)], False, Open(3)),
        ([attempt(S.FAILED), attempt(S.SUBMITTED, 2)], False, CarryOn),
        ([attempt(S.SUCCEEDED), attempt(S.FAILED, 2)], True, CarryOn),
        ([attempt(S.UNKNOWN), attempt(S.REJECTED, 2)], True, CarryOn),
        ([attempt(S.FAILED), attempt(S.FAILED, 2), attempt(S.FAILED, 3)], False, TaskFailed),
        ([attempt(S.FAILED), attempt(S.FAILED, 2), attempt(S.FAILED, 3)], True, TaskFailed),
        ([attempt(S.EXPIRED, 3, made_element_id="7"), attempt(S.FAILED, 4)], True, TaskFailed),
    ],
)
def test_the_table(attempts: list[Attempt], again: bool, step: Any) -> None:
    got = next_step(attempts, again=again)

    if isinstance(step, Open):
        assert got == step
    elif issubclass(step, Exception):
        assert isinstance(got, Refuse)
        assert isinstance(got.error, step)
        assert got.error.hint
    else:
        assert isinstance(got, step)


def test_no_state_begins_an_attempt_while_one_is_under_way() -> None:
    for state in set(AttemptState) - {S.NEWER}:
        one = attempt(state)
        if not one.has_ended:
            assert next_step([one], again=True) == CarryOn(one)


def test_a_state_of_a_newer_version_begins_nothing() -> None:
    got = next_step([attempt(S.NEWER), attempt(S.FAILED)], again=True)
    assert isinstance(got, Refuse)
    assert isinstance(got.error, LedgerTooNew)


def test_a_charge_that_cannot_be_read_is_never_followed_by_another() -> None:
    failed = attempt(S.FAILED, reason="no luck", unread_charge="2 units", task_id="8")
    got = next_step([failed], again=False)
    assert isinstance(got, Refuse)
    assert "a charge of unknown size (Kling says '2 units')" in got.error.message


@pytest.mark.parametrize(
    ("units", "cash", "unread", "text"),
    [
        ("3", None, None, "3 units"),
        ("0", "0", None, "0 units"),
        (None, "0", None, "0 USD"),
        ("3", "0.7", None, "3 units and 0.7 USD"),
        ("3", None, "x", "3 units and a charge of unknown size (Kling says 'x')"),
        (None, None, None, "no charge stated"),
    ],
)
def test_all_that_was_charged_is_told(
    units: str | None, cash: str | None, unread: str | None, text: str
) -> None:
    one = attempt(
        S.KEPT,
        units_charged=units and Decimal(units),
        cash_charged=cash and Decimal(cash),
        currency="USD",
        unread_charge=unread,
    )
    assert charge_text(one) == text


def test_a_refusal_names_the_moment_the_reason_and_the_charge() -> None:
    failed = attempt(S.FAILED, reason="no luck", units_charged=Decimal("1.50"), ended_at=MOMENT, task_id="8")
    got = next_step([failed], again=False)

    assert isinstance(got, Refuse)
    for part in ("2026-11-22 09:30 UTC", "no luck", "1.5 units"):
        assert part in got.error.message
    assert got.error.task_id == "8"


def test_a_result_that_is_gone_is_told_with_its_date_and_price() -> None:
    gone = attempt(S.EXPIRED, vendor_created_at=MOMENT, units_estimated=Decimal(15))
    got = next_step([gone], again=False)

    assert isinstance(got, Refuse)
    assert "2026-11-22" in got.error.message
    assert "15 units" in got.error.message


@pytest.mark.parametrize(
    "reason", [BODY, "The content contains sensitive information", "Failure to pass the risk control system"]
)
def test_reasons_that_lie_in_the_input_are_known(reason: str) -> None:
    assert input_advice(reason)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Image recognition failed. No complete upper body detected in the image", "one person alone"),
        ("Image recognition failed. No complete upper body detected in the video", "one person alone"),
        (
            "The character in the reference image or the first frame of the motion video is invalid.",
            "first frame",
        ),
        ("Image pixel is invalid", "PNG or JPEG"),
        ("Video format is invalid", "MP4"),
        ("Failure to pass the risk control system", "does not review"),
        ("The model 'kling-v1' has been discontinued and is no longer available.", "another model"),
    ],
)
def test_each_kind_of_failure_has_its_own_advice(reason: str, advice: str) -> None:
    assert advice in input_advice(reason)


@pytest.mark.parametrize("reason", [None, "", "Task failed due to an internal error", "Service busy"])
def test_other_reasons_do_not_lie_in_the_input(reason: str | None) -> None:
    assert not input_advice(reason)


def test_a_result_that_was_kept_here_is_not_said_never_to_have_been() -> None:
    kept = attempt(S.EXPIRED, vendor_created_at=MOMENT, task_id="8", result_path="film/figure_walk.mp4")
    never = attempt(S.EXPIRED, vendor_created_at=MOMENT, task_id="8")

    assert "film/figure_walk.mp4 is not in the results folder any more" in gone(kept).message
    assert "was not kept here" in gone(never).message
    for error in (gone(kept), gone(never)):
        assert "collect 8 --from-file PATH" in error.hint
        assert "raise take" in error.hint


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Image recognition failed. No complete upper body detected in the image", "one person alone"),
        ("No complete upper body detected in the video", "one person alone"),
        ("The character in the reference image or the first frame of the motion video is invalid.", "trim"),
        ("Image pixel is invalid", "plain PNG"),
        ("Failure to pass the risk control system", "does not review"),
    ],
)
def test_a_failed_input_comes_with_the_advice_of_its_kind(reason: str, advice: str) -> None:
    failed = attempt(S.FAILED, reason=reason, task_id="8")
    assert advice in failure(failed).hint
    got = next_step([failed], again=False)
    assert isinstance(got, Refuse)
    assert advice in got.error.hint


@pytest.mark.parametrize(
    ("state", "days", "ended", "said", "is_early"),
    [
        (S.EXPIRED, 29, True, False, True),
        (S.EXPIRED, 30, True, False, False),
        (S.EXPIRED, 31, True, False, False),
        (S.EXPIRED, 29, False, False, False),
        (S.KEPT, 29, True, False, False),
        (S.KEPT, 29, False, True, True),
        (S.KEPT, 30, False, True, False),
        (S.SUCCEEDED, 60, True, True, False),
    ],
)
def test_only_a_result_that_goes_before_its_30_days_is_said_to_be_unknown(
    state: AttemptState, days: int, *, ended: bool, said: bool, is_early: bool
) -> None:
    moment = MOMENT + timedelta(days=days)
    last = attempt(state, vendor_created_at=MOMENT, task_id="8", ended_at=moment if ended else None)
    message = gone(last, moment if said else None).message
    assert ("no longer knows task 8" in message) is is_early
    assert ("past the 30 days" in message) is not is_early


def test_the_30_days_begin_with_the_later_of_what_we_and_the_vendor_say() -> None:
    moments: dict[str, Any] = {"submitted_at": MOMENT, "vendor_created_at": MOMENT + timedelta(days=2)}
    last = attempt(S.KEPT, task_id="8", **moments)
    assert "no longer knows" in gone(last, MOMENT + timedelta(days=31)).message
    assert "past the 30 days" in gone(last, MOMENT + timedelta(days=32)).message


def test_without_any_date_of_its_making_a_result_is_past_its_time() -> None:
    assert "past the 30 days" in gone(attempt(S.KEPT, task_id="8"), MOMENT).message


def test_of_several_attempts_the_newest_is_handed_over_or_picked_up() -> None:
    kept = [attempt(S.KEPT, 1), attempt(S.KEPT, 2)]
    under_way = [attempt(S.UNKNOWN, 1), attempt(S.SUBMITTED, 2)]
    assert next_step(kept, again=False) == Serve(kept[1])
    assert next_step(under_way, again=False) == CarryOn(under_way[1])


@pytest.mark.parametrize(
    ("realm", "who", "price"),
    [("sandbox", "the sandbox", "costs nothing in the sandbox"), ("global", "Kling", "is paid again")],
)
def test_a_result_that_is_gone_names_its_service_and_what_another_one_costs(
    realm: str, who: str, price: str
) -> None:
    read = "".join(list(realm))  # as from a database: an equal text, and another object
    early: dict[str, Any] = {"vendor_created_at": MOMENT, "ended_at": MOMENT + timedelta(days=2)}
    error = gone(attempt(S.EXPIRED, task_id="8", realm=read, **early))
    assert f"{who} no longer knows task 8" in error.message
    assert price in error.hint


def test_a_failure_tells_its_charge_only_where_there_is_one() -> None:
    charged = attempt(S.FAILED, reason="broken", cash_charged=Decimal("0.5"), currency="USD")
    assert "Charge: 0.5 USD." in failure(charged).message
    assert "Charge" not in failure(attempt(S.FAILED, reason="broken")).message
