"""Reads are looked at again; a create never passes here."""

from __future__ import annotations

from typing import Any

import pytest

from kling_once.api.models import Answer, Task
from kling_once.api.service_codes import SERVICE_CODES, api_error
from kling_once.api.transport import backoff_seconds, may_read_again, read_again
from kling_once.errors import (
    AnswerLost,
    ApiError,
    Busy,
    InvalidValue,
    NeverSent,
    ResourceMissing,
    UnreadableAnswer,
)
from kling_once.jobs.wait import wait_for_end


class Told:
    """A client whose answers are given beforehand."""

    absent = (InvalidValue, ResourceMissing)

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def get_task(self, _task_id: str = "") -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(Task(task_id="8001", task_status=answer), "", None)


def code(number: int) -> ApiError:
    return api_error(number, 0, "")


def test_only_what_passes_by_itself_is_looked_at_again() -> None:
    again = {number for number in SERVICE_CODES if may_read_again(code(number))}
    assert again == {1302, 1303, 5000, 5001, 5002}
    assert may_read_again(AnswerLost("x"))
    assert may_read_again(NeverSent("x"))
    assert may_read_again(UnreadableAnswer("x"))
    assert not may_read_again(ValueError("x"))


async def test_a_read_that_fails_in_passing_is_answered_after_all(clock: Any) -> None:
    told = Told(AnswerLost("x"), code(5000), code(1303), "submitted")
    answer = await read_again(told.get_task, clock, pause_seconds=1)
    assert answer.value.task_status == "submitted"
    assert len(clock.slept) == 3
    assert all(0 <= pause <= 20 for pause in clock.slept)


async def test_the_last_failure_of_a_read_is_told(clock: Any) -> None:
    told = Told(*[code(1303)] * 4, "submitted")
    with pytest.raises(Busy):
        await read_again(told.get_task, clock, pause_seconds=1)
    assert told.answers == ["submitted"]


@pytest.mark.parametrize("number", [1000, 1002, 1102, 1201, 1203])
async def test_a_read_that_was_really_answered_is_not_repeated(clock: Any, number: int) -> None:
    told = Told(code(number), "submitted")
    with pytest.raises(ApiError):
        await read_again(told.get_task, clock, pause_seconds=1)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("first", "longest", "pauses"),
    [(1, 20, [1, 2, 4, 8, 16, 20, 20]), (10, 30, [10, 20, 30, 30]), (0.01, 20, [0.01, 0.02, 0.04])],
)
def test_a_backoff_doubles_up_to_a_bound(first: float, longest: float, pauses: list[float]) -> None:
    failures = range(1, len(pauses) + 1)
    assert [backoff_seconds(first, n, longest_seconds=longest) for n in failures] == pytest.approx(pauses)


def test_a_backoff_stays_at_its_bound_however_long_the_failures_go_on() -> None:
    assert backoff_seconds(5.0, 5000, longest_seconds=20) == 20


async def watched(clock: Any, *answers: Any) -> tuple[list[str], list[int], Any]:
    seen: list[str] = []
    troubles: list[int] = []

    async def on_answer(answer: Answer[Task]) -> None:
        seen.append(answer.value.task_status)

    async def on_trouble(_error: Exception, number: int) -> None:
        troubles.append(number)

    client: Any = Told(*answers)
    last = await wait_for_end(
        client.get_task, pause=clock.sleep, poll_seconds=5, on_answer=on_answer, on_trouble=on_trouble
    )
    return seen, troubles, last.value.status


async def test_a_wait_ends_with_the_task_and_not_with_an_unknown_status(clock: Any) -> None:
    seen, troubles, status = await watched(clock, "submitted", "reviewing", "processing", "succeed")
    assert seen == ["submitted", "reviewing", "processing", "succeed"]
    assert (troubles, status) == ([], "succeed")
    assert clock.slept == [5, 5, 5]


async def test_troubles_in_a_row_make_the_pauses_longer_up_to_a_bound(clock: Any) -> None:
    lost = [AnswerLost("x"), code(1201), code(1203), code(5001), UnreadableAnswer("x")]
    _seen, troubles, status = await watched(clock, *lost, "submitted", NeverSent("x"), "failed")
    assert troubles == [1, 2, 3, 4, 5, 1]
    assert status == "failed"
    assert clock.slept == [10, 20, 30, 30, 30, 5, 10]


async def test_a_wait_ends_when_looking_again_cannot_help(clock: Any) -> None:
    with pytest.raises(ApiError, match="1002"):
        await watched(clock, "submitted", code(1002), "succeed")
