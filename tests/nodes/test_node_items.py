"""The items of a node, counted before and while they run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def items(node_items: Any) -> Any:
    """Return a node's items."""
    return node_items.NodeItems()


def test_items_that_are_announced_count_before_they_begin(items: Any) -> None:
    for index in (0, 1, 3):
        items.announce(index)
    items.begin(0).has_ended = True
    assert len(items) == 3
    assert items.text().startswith("3 items: 1 done")
    assert items.begin(1) is items[1]
    assert len(items) == 3


def test_a_node_that_runs_again_in_its_prompt_counts_anew(items: Any) -> None:
    for index in (0, 1):
        items.announce(index)
    for index in (0, 1):
        items.begin(index).has_ended = True
    items.stopped_by = "Task 1 failed."
    items.announce(0)
    assert len(items) == 1
    items.require_going_on()


def test_what_an_interrupted_execution_announced_does_not_count(items: Any) -> None:
    for index in (0, 1, 2):
        items.announce(index)
    for index in (0, 1):
        items.announce(index)
    assert len(items) == 2


def test_an_item_that_nobody_announced_is_counted_when_it_begins(items: Any) -> None:
    assert items.begin(0) is items[0]
    assert items.text() == "Kling Once: starting"


def test_after_a_failure_that_stops_every_item_says_what_failed(items: Any, node_items: Any) -> None:
    items.announce(0)
    items.stopped_by = "Task 1 failed."
    assert items.text() == "Task 1 failed."
    with pytest.raises(node_items.KlingOnceFailure, match=r"Task 1 failed\."):
        items.require_going_on()


def test_failed_items_are_listed_after_those_under_way(items: Any) -> None:
    for index in range(4):
        items.announce(index)
    items.begin(0).failure = "Refused by moderation."
    items[0].has_ended = True
    items.begin(1).has_ended = True
    lines = items.text().splitlines()
    assert lines[0] == "4 items: 1 done, 1 failed"
    assert lines[1:] == ["3: Kling Once: starting", "4: Kling Once: starting", "1: Refused by moderation."]
    assert items.fraction() == 0.5


def test_an_item_whose_waiting_was_stopped_says_where_its_task_is(items: Any) -> None:
    item = items.begin(0)
    assert item.stopped_line().startswith("stopped | queue again")
    item.hear(SimpleNamespace(stage="check", task_id="8123", job_key="v1"))
    assert item.stopped_line().startswith("stopped | task 8123 goes on; queue again")
    item.has_ended, item.result = True, item.stopped_line()
    assert items.text() == item.result


def test_a_limit_that_stops_one_item_names_what_the_others_have_submitted(
    items: Any, node_items: Any
) -> None:
    for index in range(3):
        items.announce(index)
    limit = node_items.SpendingRefused("Over 5 units.", hint="Nothing was submitted. Raise max_units.")
    assert items.failure_text(limit) == "Over 5 units. This item was not submitted. Raise max_units."
    items[1].hear(SimpleNamespace(stage="check", task_id="8123", job_key="v1"))
    assert items.failure_text(limit) == (
        "Over 5 units. This item was not submitted. Raise max_units."
        " Submitted so far: 1 of 3 items (task 8123)."
    )


def test_the_time_that_an_item_waited_for_a_place_does_not_count(
    node_items: Any, items: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(node_items, "time", SimpleNamespace(monotonic=lambda: now))
    item = items.begin(0)
    for stage, at, elapsed in (("queue", 1010, "0:10"), ("queue", 1300, "5:00"), ("submit", 1310, "0:00")):
        now = at
        item.hear(SimpleNamespace(stage=stage, task_id=None, job_key="v1"))
        assert item.clock() == elapsed
    now = 1325
    assert item.clock() == "0:15"
