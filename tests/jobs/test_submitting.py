"""Submitting, step by step: what is asked, written down and sent, in which order, and what is not sent."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kling_once.api.models import CreateRequest
from kling_once.errors import (
    AccountError,
    AnswerLost,
    Busy,
    ExternalIdTaken,
    LedgerNotWritable,
    NeverSent,
    OutcomeUnknown,
    ServerFault,
    SubmissionsHeld,
    UnreadableAnswer,
)
from kling_once.jobs.progress import Stage
from kling_once.jobs.run import NobodyWaits
from kling_once.jobs.submit import submit
from kling_once.ledger.attempts import AttemptState
from kling_once.ledger.slots import Room
from kling_once.order import Service
from kling_once.results.store import KeptFile, Sidecar
from tests.jobs.scripted_run import (
    BEGAN,
    EXTERNAL_ID,
    ORIGIN,
    ScriptedHost,
    attempt_in,
    invalid_value,
    task,
)
from tests.jobs.scripted_submit import FULL, URL, Submit, staged_file

REFUSED = AccountError("Kling: 1102, no balance.", code=1102, http_status=429)
TOO_FAST = Busy("Kling: 1302, rate limit.", code=1302, http_status=429)
NOT_SENT = NeverSent("The host cannot be reached.")
LOST = AnswerLost("The connection broke.")
FAULT = ServerFault("Kling: 5000.", code=5000, http_status=500)
UNREADABLE = UnreadableAnswer("A page instead of an answer.")


async def test_it_looks_notes_and_sends_in_this_order() -> None:
    one = Submit()
    attempt = await one.end()
    assert attempt.state is AttemptState.SUBMITTED
    assert (attempt.task_id, attempt.posts) == ("871", 1)
    assert [call[0] for call in one.vendor.asked] == ["find", "create"]
    assert one.ledger.names() == ["take_slot", "require_writable", "require_released", "post", "change"]
    assert one.ledger.calls[0][1:] == (Room(ORIGIN, "f1", "kling-v2-6"), 3)
    assert one.ledger.calls[2][1] is Service.KLING
    assert one.run.posted
    assert one.run.not_sending.is_set()
    assert one.clock.slept == []
    assert one.services.said() == ["waiting for a place", "handing the clip over", "submitting"]
    stages = [progress.stage for progress in one.services.told]
    assert list(dict.fromkeys(stages)) == [Stage.QUEUE, Stage.UPLOAD, Stage.SUBMIT]


async def test_the_body_is_the_order_with_its_id() -> None:
    one = Submit()
    await one.end()
    (request,) = one.sent
    assert request == CreateRequest(
        motion=one.staged.order.motion,
        image_url=base64.b64encode(b"png").decode(),
        video_url=URL,
        external_task_id=EXTERNAL_ID,
    )
    assert one.services.asked_host == []


async def test_no_create_is_marked_as_on_its_way_before_everything_else_is_done() -> None:
    one = Submit()
    seen: list[bool] = []
    create = one.vendor.create

    async def watched(request: Any, may_send: Any) -> Any:
        seen.append(one.run.not_sending.is_set())
        return await create(request, may_send)

    one.vendor.create = watched
    await one.end()
    assert seen == [False]


@pytest.mark.parametrize("state", sorted(set(AttemptState) - {AttemptState.INTENT}))
async def test_only_an_intent_is_sent(state: AttemptState) -> None:
    one = Submit()
    run = await one.open()
    run._attempt = attempt_in(state, task_id="871")
    await submit(run)
    assert one.vendor.asked == []
    assert one.ledger.calls == []


async def test_a_turn_is_waited_for() -> None:
    one = Submit()
    one.ledger.slots = [False, False, True]
    await one.end()
    assert one.clock.slept == [1, 1]
    assert one.services.moves == 2  # it has a slot; its state has changed


async def test_for_an_order_of_nobody_nothing_is_asked() -> None:
    one = Submit()
    (await one.open())._waiting = 0
    with pytest.raises(NobodyWaits):
        await one.end()
    assert one.vendor.asked == []


async def test_nothing_is_sent_when_all_let_go_while_the_clip_was_handed_over() -> None:
    one = Submit(staged_file())
    host = one.services.media_host = ScriptedHost()
    run = await one.open()
    verify = host.verify

    async def let_go(url: str, clip: Any) -> None:
        run._waiting = 0
        await verify(url, clip)

    host.verify = let_go
    with pytest.raises(NobodyWaits):
        await submit(run)
    assert one.sent == []


async def test_a_result_kept_meanwhile_is_taken() -> None:
    one = Submit()
    texts = dict.fromkeys(("job_key", "external_task_id", "service", "profile"), "")
    numbers = dict.fromkeys(
        ("seconds", "units_estimated", "units_charged", "cash_charged", "currency", "vendor_created_at")
    )
    sidecar = Sidecar.model_validate(texts | numbers | {"task_id": "55"})
    one.services.kept = KeptFile("figure_walk.mp4", 9, "d"), sidecar
    attempt = await one.end()
    assert attempt.state is AttemptState.KEPT
    assert (attempt.task_id, attempt.units_reserved) == ("55", None)
    assert one.vendor.asked == []


async def test_a_task_that_exists_is_adopted() -> None:
    one = Submit(posts=1)
    one.vendor.looks = [task()]
    assert (await one.end()).state is AttemptState.SUBMITTED
    assert one.sent == []


@pytest.mark.parametrize(("posts", "said"), [(0, "Nothing was submitted"), (1, "Nothing more was submitted")])
async def test_a_task_of_another_name_stops_it(posts: int, said: str) -> None:
    one = Submit(posts=posts)
    one.vendor.looks = [task("ko-another-1")]
    with pytest.raises(OutcomeUnknown, match=EXTERNAL_ID) as caught:
        await one.end()
    assert said in caught.value.hint
    assert one.sent == []


async def test_a_task_under_an_id_of_the_users_own_is_not_taken_unless_it_was_sent_before() -> None:
    one = Submit(own_external_id=True)
    one.vendor.looks = [task()]
    with pytest.raises(ExternalIdTaken, match="did not make") as caught:
        await one.end()
    assert caught.value.task_id == "871"
    assert one.sent == []

    again = Submit(own_external_id=True, posts=1)
    again.vendor.looks = [task()]
    assert (await again.end()).task_id == "871"


async def test_a_task_of_ours_that_was_never_sent_from_here_is_adopted() -> None:
    one = Submit()
    one.vendor.looks = [task()]
    assert (await one.end()).task_id == "871"
    assert one.sent == []


@pytest.mark.parametrize("fault", [FULL, TOO_FAST])
async def test_a_full_account_is_waited_for_as_often_as_it_takes(fault: Busy) -> None:
    one = Submit()
    one.vendor.creates = [fault] * 4 + [task()]
    attempt = await one.end()
    assert (attempt.state, attempt.posts) == (AttemptState.SUBMITTED, 1)
    assert one.clock.slept == [1, 2, 4, 8]
    assert one.ledger.names().count("refuse_slot") == (4 if fault is FULL else 0)
    assert f"the account is full ({fault.code}); waiting for a place" in one.services.said()
    assert one.vendor.count("find") == 5


async def test_a_refused_slot_is_that_of_the_room() -> None:
    one = Submit()
    one.vendor.creates = [FULL, task()]
    await one.end()
    assert ("refuse_slot", Room(ORIGIN, "f1", "kling-v2-6")) in one.ledger.calls


async def test_a_look_that_must_wait_counts_as_a_full_account() -> None:
    one = Submit()
    one.vendor.looks = [TOO_FAST] * 4 + [None]
    assert (await one.end()).state is AttemptState.SUBMITTED
    assert one.vendor.count("find") == 5
    assert one.clock.slept[-1] == 1
    assert "refuse_slot" not in one.ledger.names()


@pytest.mark.parametrize("fault", [FULL, NOT_SENT])
async def test_what_was_not_accepted_counts_as_not_sent(fault: Exception) -> None:
    one = Submit()
    one.vendor.creates = [fault, task()]
    run = await one.open()
    seen: list[bool] = []
    sleep = one.clock.sleep

    async def watched(seconds: float) -> None:
        seen.append(run.posted)
        await sleep(seconds)

    one.clock.sleep = watched
    assert (await one.end()).posts == 1
    assert seen == [False]
    undone = next(call[1] for call in one.ledger.calls if call[0] == "change")
    assert undone == {"posted_at": None, "posts": 0}


@pytest.mark.parametrize("posts", [1, 2])
async def test_what_was_not_accepted_leaves_the_creates_before_it_counted(posts: int) -> None:
    one = Submit(posts=posts)
    one.vendor.creates = [FULL, task()]
    assert (await one.end()).posts == posts + 1
    undone = next(call[1] for call in one.ledger.calls if call[0] == "change")
    assert undone["posts"] == posts


async def test_a_host_that_cannot_be_reached_is_tried_three_times() -> None:
    one = Submit()
    one.vendor.creates = [NOT_SENT]
    with pytest.raises(NeverSent):
        await one.end()
    assert len(one.sent) == 3
    assert one.clock.slept == [5, 5]
    assert one.run.attempt.state is AttemptState.INTENT
    assert one.run.attempt.posts == 0


async def test_a_host_that_is_back_in_time_gets_the_create() -> None:
    one = Submit()
    one.vendor.creates = [NOT_SENT, NOT_SENT, task()]
    assert (await one.end()).state is AttemptState.SUBMITTED


@pytest.mark.parametrize("fault", [LOST, UNREADABLE, FAULT])
async def test_a_lost_answer_makes_it_unknown_and_ends_the_submit(
    fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one = Submit()
    one.vendor.creates = [fault]
    attempt = await one.end()
    assert (attempt.state, attempt.posts) == (AttemptState.UNKNOWN, 1)
    assert attempt.unknown_since == BEGAN
    assert one.run.posted
    assert len(one.sent) == 1
    assert fault.message in caplog.text


async def test_a_first_refusal_ends_the_attempt() -> None:
    one = Submit()
    one.vendor.creates = [REFUSED]
    with pytest.raises(AccountError):
        await one.end()
    attempt = one.run.attempt
    assert (attempt.state, attempt.reason_code, attempt.units_reserved) == (AttemptState.REJECTED, 1102, None)
    assert one.vendor.count("find") == 1


async def test_an_invalid_value_is_looked_at_before_it_ends_the_attempt() -> None:
    one = Submit()
    one.vendor.creates = [invalid_value()]
    with pytest.raises(ValueError, match="1201"):
        await one.end()
    assert one.run.attempt.state is AttemptState.REJECTED
    assert one.vendor.count("find") == 2


async def test_an_invalid_value_whose_task_is_there_was_made_elsewhere() -> None:
    one = Submit()
    one.vendor.creates = [invalid_value()]
    one.vendor.looks = [None, task()]
    assert (await one.end()).task_id == "871"
    assert not one.run.posted


@pytest.mark.parametrize("look", [LOST, FAULT])
async def test_an_invalid_value_without_a_clear_look_leaves_it_unknown(look: Exception) -> None:
    one = Submit()
    one.vendor.creates = [invalid_value()]
    one.vendor.looks = [None, look]
    attempt = await one.end()
    assert (attempt.state, attempt.posts) == (AttemptState.UNKNOWN, 1)
    assert (attempt.reason_code, attempt.unknown_since) == (1201, BEGAN)


async def test_an_invalid_value_with_a_task_of_another_name_rejects_it() -> None:
    one = Submit()
    one.vendor.creates = [invalid_value()]
    one.vendor.looks = [None, task("ko-another-1")]
    with pytest.raises(ValueError, match="1201"):
        await one.end()
    assert one.run.attempt.state is AttemptState.REJECTED


@pytest.mark.parametrize("posts", [1, 2])
async def test_a_refusal_after_a_lost_create_leaves_it_unknown_and_is_told(posts: int) -> None:
    one = Submit(posts=posts)
    one.vendor.creates = [REFUSED]
    with pytest.raises(AccountError):
        await one.end()
    assert one.changes() == {
        "state": AttemptState.UNKNOWN,
        "unknown_since": BEGAN,
        "posts": posts,
        "reason": REFUSED.message,
        "reason_code": 1102,
    }
    assert one.vendor.count("find") == 2


async def test_an_invalid_value_after_a_lost_create_leaves_it_unknown_and_counts_as_sent() -> None:
    one = Submit(posts=1)
    one.vendor.creates = [invalid_value()]
    attempt = await one.end()
    assert (attempt.state, attempt.posts, attempt.reason_code) == (AttemptState.UNKNOWN, 2, 1201)


async def test_a_refusal_after_a_lost_create_whose_task_shows_is_no_refusal() -> None:
    one = Submit(posts=1)
    one.vendor.creates = [REFUSED]
    one.vendor.looks = [None, task()]
    assert (await one.end()).task_id == "871"
    assert one.run.posted


async def test_a_mistake_of_ours_is_no_answer_of_klings() -> None:
    one = Submit()
    one.vendor.creates = [invalid_value()]
    one.vendor.looks = [None, RuntimeError("ours")]
    with pytest.raises(RuntimeError, match="ours"):
        await one.end()


async def test_a_task_that_cannot_be_written_down_is_named(caplog: pytest.LogCaptureFixture) -> None:
    one = Submit()
    one.ledger.faults["change"] = LedgerNotWritable("The disk is full.")
    with pytest.raises(LedgerNotWritable) as caught:
        await one.end()
    assert caught.value.task_id == "871"
    assert "Task 871 was accepted" in caplog.text


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("require_writable", LedgerNotWritable("read-only")),
        ("require_released", SubmissionsHeld("on hold")),
        ("post", LedgerNotWritable("full")),
    ],
)
async def test_nothing_is_sent_without_the_ledger_or_on_hold(call: str, fault: Exception) -> None:
    one = Submit()
    one.ledger.faults[call] = fault
    with pytest.raises(type(fault)):
        await one.end()
    assert one.sent == []
    assert not one.run.posted
