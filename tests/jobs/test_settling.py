"""Settling, look by look: when a lost create counts as found, as absent, and as not known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kling_once.errors import AnswerLost, ApiError, OutcomeUnknown, ServerFault, TaskFailed
from kling_once.jobs.progress import Stage
from kling_once.jobs.settle import settle
from kling_once.ledger.attempts import AttemptState
from tests.jobs.scripted_run import BEGAN, EXTERNAL_ID, ScriptedServices, attempt_in, run_of, task

LOST = AnswerLost("The connection broke.")
FAULT = ServerFault("Kling: 5000.", code=5000, http_status=500)
FOREIGN = task("ko-another-1")


class Settling:
    """An attempt whose create is lost, sent once unless said otherwise."""

    def __init__(self, **changes: Any) -> None:
        self.services = ScriptedServices()
        self.vendor, self.clock = self.services.vendor, self.services.clock
        self._changes = {"posts": 1, "unknown_since": BEGAN, "posted_at": BEGAN} | changes

    async def end(self) -> Any:
        run = await run_of(self.services, attempt_in(AttemptState.UNKNOWN, **self._changes))
        await settle(run)
        return run.attempt


async def test_a_task_that_shows_is_adopted_at_once() -> None:
    settling = Settling()
    settling.vendor.looks = [task()]
    attempt = await settling.end()
    assert attempt.state is AttemptState.SUBMITTED
    assert attempt.task_id == "871"
    assert settling.vendor.asked == [("find", EXTERNAL_ID)]
    assert settling.clock.slept == []
    assert settling.services.told[-1].stage is Stage.SETTLE


async def test_a_task_that_shows_later_is_adopted_whatever_the_looks_before_it_said() -> None:
    settling = Settling()
    settling.vendor.looks = [None, LOST, FAULT, FOREIGN, None, task()]
    assert (await settling.end()).state is AttemptState.SUBMITTED
    assert settling.clock.slept == [5] * 5
    assert settling.vendor.count("list") == 0


async def test_an_absent_task_is_sent_again_after_the_time_of_settling_and_a_look_at_the_list() -> None:
    settling = Settling()
    attempt = await settling.end()
    assert attempt.state is AttemptState.INTENT
    assert (attempt.posted_at, attempt.unknown_since) == (None, None)
    assert attempt.posts == 1
    assert settling.clock.slept == [5] * 18
    assert settling.vendor.count("find") == 19
    assert settling.vendor.asked[-1] == ("list", 1, 100)


async def test_the_last_pause_ends_with_the_time_of_settling() -> None:
    settling = Settling(unknown_since=BEGAN - timedelta(seconds=87))
    settling.vendor.looks = [None, task()]
    await settling.end()
    assert settling.clock.slept == [3]


async def test_also_in_the_last_second_of_settling_a_doubt_does_not_end_it() -> None:
    settling = Settling(unknown_since=BEGAN - timedelta(seconds=89.5))
    settling.vendor.looks = [LOST, task()]
    assert (await settling.end()).state is AttemptState.SUBMITTED
    assert settling.clock.slept == [0.5]


async def test_what_was_lost_in_the_future_is_looked_for_no_longer_than_usual() -> None:
    settling = Settling(unknown_since=BEGAN + timedelta(days=3))
    await settling.end()
    assert sum(settling.clock.slept) == 90


async def test_one_whose_loss_has_no_time_is_looked_for_from_now_on() -> None:
    settling = Settling(unknown_since=None)
    await settling.end()
    assert sum(settling.clock.slept) == 90


async def test_resumed_late_it_still_needs_three_clear_looks_a_poll_apart() -> None:
    settling = Settling(unknown_since=BEGAN - timedelta(days=1))
    assert (await settling.end()).state is AttemptState.INTENT
    assert settling.vendor.count("find") == 3
    assert settling.clock.slept == [5, 5]


async def test_resumed_at_the_very_end_of_settling_one_doubt_ends_it() -> None:
    settling = Settling(unknown_since=BEGAN - timedelta(seconds=90))
    settling.vendor.looks = [LOST]
    with pytest.raises(OutcomeUnknown):
        await settling.end()
    assert settling.clock.slept == []


@pytest.mark.parametrize("looks", [[LOST], [None, FAULT], [None, None, FOREIGN]])
async def test_resumed_late_one_doubt_ends_it_and_nothing_is_sent(looks: list[Any]) -> None:
    settling = Settling(unknown_since=BEGAN - timedelta(days=1))
    settling.vendor.looks = looks
    with pytest.raises(OutcomeUnknown, match=EXTERNAL_ID) as caught:
        await settling.end()
    assert "Nothing more was submitted" in caught.value.hint
    assert settling.vendor.count("list") == 0
    assert settling.services.ledger.names() == []


async def test_a_doubt_in_between_counts_the_clear_looks_anew() -> None:
    settling = Settling(unknown_since=BEGAN - timedelta(seconds=80))
    settling.vendor.looks = [None, FAULT, None]
    await settling.end()
    assert settling.clock.slept == [5, 5, 5, 5]  # three clear ones: after 10, 15 and 20 s


@pytest.mark.parametrize(
    ("doubt", "said"),
    [(LOST, "The connection broke"), (FAULT, "5000"), (FOREIGN, "a task of another name")],
)
async def test_without_a_clear_answer_it_says_what_kling_answered(doubt: Any, said: str) -> None:
    settling = Settling()
    settling.vendor.looks = [doubt]
    with pytest.raises(OutcomeUnknown, match=said):
        await settling.end()
    assert sum(settling.clock.slept) == 90


async def test_a_task_that_only_the_list_shows_is_adopted() -> None:
    settling = Settling()
    settling.vendor.pages = [[FOREIGN, task(task_id="872")]]
    assert (await settling.end()).task_id == "872"


@pytest.mark.parametrize("doubt", [LOST, FAULT])
async def test_without_the_list_nothing_is_sent_again(doubt: Exception) -> None:
    settling = Settling()
    settling.vendor.pages = [doubt]
    with pytest.raises(OutcomeUnknown, match="not known whether"):
        await settling.end()
    assert settling.services.ledger.names() == []


async def test_a_list_of_tasks_of_others_says_that_there_is_none() -> None:
    settling = Settling()
    settling.vendor.pages = [[FOREIGN]]
    assert (await settling.end()).state is AttemptState.INTENT


@pytest.mark.parametrize(("posts", "state"), [(1, AttemptState.INTENT), (2, AttemptState.INTENT), (3, None)])
async def test_an_attempt_is_sent_three_times_at_most(posts: int, state: AttemptState | None) -> None:
    settling = Settling(posts=posts)
    if state is not None:
        assert (await settling.end()).state is state
        return
    with pytest.raises(OutcomeUnknown, match="was sent 3 times; every answer was lost") as caught:
        await settling.end()
    assert "Nothing more was submitted" in caught.value.hint
    assert settling.services.ledger.names() == []


async def test_beyond_three_creates_it_is_not_sent_either() -> None:
    with pytest.raises(OutcomeUnknown, match="sent 4 times"):
        await Settling(posts=4).end()


async def test_with_all_creates_used_up_the_last_refusal_is_told() -> None:
    settling = Settling(posts=3, reason="no such value", reason_code=1201)
    with pytest.raises(OutcomeUnknown, match=r"the last answer was 1201 \(no such value\), others"):
        await settling.end()


async def test_what_moderation_refused_meanwhile_is_refused_once_its_absence_is_clear() -> None:
    settling = Settling(reason="risk control", reason_code=1301)
    with pytest.raises(TaskFailed, match=r"was refused.*risk control"):
        await settling.end()
    ((_, changes),) = settling.services.ledger.calls
    assert changes["state"] is AttemptState.REJECTED
    assert changes["units_reserved"] is None
    assert changes["ended_at"] == settling.clock.now()


async def test_what_moderation_refused_stays_unknown_while_there_is_doubt() -> None:
    settling = Settling(reason="risk control", reason_code=1301)
    settling.vendor.looks = [LOST]
    with pytest.raises(OutcomeUnknown):
        await settling.end()
    assert settling.services.ledger.names() == []


async def test_what_was_refused_for_the_moment_is_sent_again_without_its_reason() -> None:
    attempt = await Settling(reason="balance", reason_code=1102).end()
    assert attempt.state is AttemptState.INTENT
    assert (attempt.reason, attempt.reason_code) == (None, None)


async def test_an_error_of_our_own_is_no_doubt_about_the_task() -> None:
    settling = Settling()
    settling.vendor.looks = [RuntimeError("a mistake of ours")]
    with pytest.raises(RuntimeError, match="of ours"):
        await settling.end()


async def test_a_refused_look_is_a_doubt() -> None:
    settling = Settling()
    settling.vendor.looks = [ApiError("Kling: 1200.", code=1200, http_status=400)]
    with pytest.raises(OutcomeUnknown, match="1200"):
        await settling.end()
