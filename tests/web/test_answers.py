"""What is handed to programs: one JSON object, complete and without links nobody asked for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from kling_once.api.models import Task
from kling_once.api.service_codes import api_error
from kling_once.errors import (
    BudgetReached,
    InputRefused,
    TaskFailed,
    Violation,
)
from kling_once.web.answers import TaskAnswer, failure_of


def test_an_error_names_its_kind_what_to_do_and_the_task() -> None:
    error = TaskFailed("It failed.", hint="Change an input.", task_id="8001")
    assert failure_of(error).model_dump(exclude={"said"}) == {
        "error": "TaskFailed",
        "message": "It failed.",
        "hint": "Change an input.",
        "task_id": "8001",
    }


def test_an_error_without_a_hint_has_null() -> None:
    assert failure_of(BudgetReached("Too much.")).hint is None


def test_every_violation_is_listed() -> None:
    broken = [
        Violation("image", "image.side.min", "Too small."),
        Violation("prompt", "prompt.length", "Long."),
    ]
    assert failure_of(InputRefused(broken)).model_dump()["violations"] == [
        {"field": "image", "rule": "image.side.min", "message": "Too small.", "values": []},
        {"field": "prompt", "rule": "prompt.length", "message": "Long.", "values": []},
    ]


def test_an_answer_of_the_api_carries_its_code_status_and_request() -> None:
    payload = failure_of(api_error(1102, 429, "used up", "req-1")).model_dump()
    assert (payload["error"], payload["code"], payload["http_status"]) == ("AccountError", 1102, 429)
    assert payload["request_id"] == "req-1"


@pytest.mark.parametrize(("amount", "number"), [(None, None), (Decimal("4.50"), 4.5), (Decimal(0), 0.0)])
def test_an_amount_is_a_number_or_null(amount: Decimal | None, number: float | None) -> None:
    task = Task.model_validate({"task_id": "8001", "final_unit_deduction": amount})
    assert TaskAnswer.of(task).model_dump(mode="json")["units"] == number


@pytest.mark.parametrize(
    "answered", [{}, {"task_result": {"videos": [{"url": "https://cdn.example/v?sig=1", "duration": "5.1"}]}}]
)
def test_a_listed_task_has_no_link(answered: dict[str, Any]) -> None:
    task = Task.model_validate({"task_id": "8001", "task_status": "succeed"} | answered)
    text = json.dumps(TaskAnswer.of(task).model_dump(mode="json"), allow_nan=False)
    assert "cdn.example" not in text
    assert '"task_id": "8001"' in text
