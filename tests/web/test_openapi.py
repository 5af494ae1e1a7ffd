"""The description in docs/ is that of the routes: every answer is of its schema, and none is a 500."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process import Process

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"
CASES = int(os.environ.get("KLING_ONCE_SCHEMATHESIS_CASES", "50"))
"""For each route. There are 30, some of them with few different cases: the default makes 1,162 in all."""
CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]


RENEWAL = 'from kling_once.web.openapi import text; print(text("1"), end="")'


def test_the_description_in_docs_is_up_to_date(python: Callable[..., Process]) -> None:
    """In a process of its own: pydantic finds no docstrings in a file imported before by another name."""
    described = python("-c", RENEWAL).end()
    assert described.code == 0, described.err
    assert DESCRIPTION.read_text(encoding="utf-8") == described.out, "`just docs` renews it"


def test_every_endpoint_is_described_and_handled(part: Any) -> None:
    endpoints = part("kling_once.web.app").ENDPOINTS
    assert len({one.name for one in endpoints}) == len(endpoints) == 30
    assert all(one.summary for one in endpoints)
    described = json.loads(DESCRIPTION.read_text(encoding="utf-8"))["paths"]
    assert {(f"/kling_once{one.path}", one.method.lower()) for one in endpoints} == {
        (path, method) for path, methods in described.items() for method in methods
    }


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_every_answer_to_a_case_that_schemathesis_makes_is_of_its_schema(
    served: Any, part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_host: Any) -> None:
        """Ask no bucket of the world."""

    monkeypatch.setattr(part("kling_once.web.hosting"), "try_host", nothing)
    served.run()
    schema = schemathesis.openapi.from_path(str(DESCRIPTION))
    schema.config.base_url = served.origin
    counted = 0

    def ask(case: Any) -> None:
        nonlocal counted
        counted += 1
        answer = case.call(session=None, headers={"Origin": served.origin})
        assert answer.status_code != 500, (case.method, case.path, answer.content)
        assert answer.status_code < 500 or answer.status_code in {502, 503}, answer.content
        if answer.status_code != 400 or case.method == "POST":  # else aiohttp's own, of a line too long
            case.validate_response(answer, checks=CONFORMANCE)

    for result in schema.get_all_operations():
        operation: Any = result.ok()  # pyright: ignore[reportAttributeAccessIssue] - raises for a bad schema
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            check = settings(
                max_examples=CASES // 2,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=tuple(HealthCheck.__members__.values()),
            )(given(case=operation.as_strategy(generation_mode=mode))(ask))
            try:
                check()
            except Exception as error:
                if "Unsatisfiable" in type(error).__name__:
                    continue
                raise
    assert counted >= 1000, counted
