"""Whatever Kling answers: no traceback, no second create, and no paid task out of reach of `collect`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_once.errors import KlingOnceError, ResultGone, TaskFailed
from kling_once.order import Service, VideoUrl
from tests.hostile_vendor import Hostility

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_once.jobs.engine import Engine
    from tests.hostile_vendor import Vendor

EXAMPLES = settings(max_examples=int(os.environ.get("KLING_ONCE_HOSTILE_EXAMPLES", "60")))
"""Of each on each generation; `just fuzz` asks for 500."""
pytestmark = [pytest.mark.timeout(1800), pytest.mark.both_generations]


@dataclass
class Trial:
    """Orders one job after the other under hostile answers."""

    vendor: Vendor
    engine: Engine
    order: Callable[..., Any]
    take: int = 0

    def __call__(self, hostility: Hostility, *, status: str = "succeed") -> BaseException | None:
        """Run one job under hostile answers, then collect it under honest ones; return how the run ended."""
        self.take += 1
        self.vendor.hostility, self.vendor.status = hostility, status
        before = set(self.vendor.tasks)
        asked = self.order(
            service=Service.KLING,
            video=VideoUrl("https://a.example/a.mp4"),
            take=self.take,
            wait_minutes=0.05,
        )
        ended: BaseException | None = None
        try:
            self.engine.run(asked).result(30)
        except KlingOnceError as error:
            ended = error
        assert ended is None or str(ended).isprintable()
        made = set(self.vendor.tasks) - before
        assert len(made) <= 1
        self.vendor.hostility = Hostility(gets=0)
        for name in made:
            try:
                assert self.engine.collect(name).result(30).path.is_file()
            except TaskFailed:
                assert status == "failed"
        assert all(self.vendor.creates[name] == 1 for name in made)
        return ended


@pytest.fixture
def trial(vendor: Vendor, live: Engine, order: Callable[..., Any]) -> Trial:
    return Trial(vendor, live, order)


odd_characters = st.characters(categories=["Cs", "Cc", "Cf", "Zs", "Lo", "Po"])
texts = st.one_of(st.text(max_size=40), st.text(odd_characters, max_size=40))
values: st.SearchStrategy[Any] = st.one_of(
    texts,
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.none(),
    st.booleans(),
    st.lists(texts, max_size=2),
    st.dictionaries(st.sampled_from(["quota", "id", "url", "x"]), texts, max_size=2),
)
ids = st.one_of(
    values,
    st.sampled_from(
        ["a/b", "a+b=", "a b", "x" * 129, "x" * 128, ".", "..", "\x1b[31mred", "777", "../../x", ""]
    ),
)
gets = st.integers(0, 3)


@EXAMPLES
@given(task_id=ids, in_create=st.booleans(), gets=st.one_of(gets, st.just(10**6)))
def test_a_task_id_that_cannot_be_asked_for_loses_no_task(
    trial: Trial, task_id: Any, in_create: bool, gets: int
) -> None:
    trial(Hostility({"task_id": task_id}, in_create=in_create, gets=gets if gets < 10 else 20))


@EXAMPLES
@given(
    info=st.one_of(values, st.fixed_dictionaries({"external_task_id": ids})),
    in_create=st.booleans(),
    gets=gets,
)
def test_another_jobs_task_is_never_taken_for_ours(
    trial: Trial, info: Any, in_create: bool, gets: int
) -> None:
    trial(Hostility({"task_info": info}, in_create=in_create, gets=gets))


moments = st.one_of(values, st.integers(0, 4 * 10**9), st.integers(0, 4 * 10**12), st.integers(0, 2**63))


@EXAMPLES
@given(
    created_at=moments, status=st.sampled_from([401, 403, 404, 410, 500]), links=st.integers(0, 4), gets=gets
)
def test_a_misstated_time_makes_no_result_gone(
    trial: Trial, created_at: Any, status: int, links: int, gets: int
) -> None:
    times = {"created_at": created_at, "updated_at": created_at}
    ended = trial(Hostility(times, gets=gets + 3, link_status=status, links=links))
    assert not isinstance(ended, ResultGone)


@EXAMPLES
@given(units=values, balance=values, status=st.sampled_from(["succeed", "failed"]))
def test_a_charge_that_cannot_be_read_is_never_followed_by_another(
    trial: Trial, units: Any, balance: Any, status: str
) -> None:
    deducted = {"final_unit_deduction": units, "final_balance_deduction": balance}
    trial(Hostility(deducted, gets=10), status=status)


@EXAMPLES
@given(in_create=st.booleans(), gets=st.integers(0, 1))
def test_an_answer_that_never_ends_is_a_lost_one(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, in_create: bool, gets: int
) -> None:
    monkeypatch.setattr("kling_once.api.client.READ_SECONDS", 0.05)
    trial(Hostility(drips=True, in_create=in_create, gets=gets))


@EXAMPLES
@given(
    words=st.fixed_dictionaries(
        {}, optional={"task_status": values, "task_status_msg": values, "task_result": values}
    ),
    envelope=st.fixed_dictionaries({}, optional={"message": values, "request_id": values, "code": values}),
    in_create=st.booleans(),
    gets=gets,
)
def test_texts_of_any_kind_end_in_words(
    trial: Trial, words: dict[str, Any], envelope: dict[str, Any], in_create: bool, gets: int
) -> None:
    trial(Hostility(words, envelope, in_create=in_create, gets=gets))
