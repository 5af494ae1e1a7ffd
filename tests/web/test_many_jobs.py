"""A ledger grows for years: what the page asks for again and again must not become slow with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event

from tests.open_ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Return what is asked of the ledger from here on, with its values."""
    asked: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", hear)
    yield asked
    event.remove(Engine, "before_cursor_execute", hear)


@pytest.mark.parametrize("shown", ["all", "kept", "failed", "under_way"])
def test_a_page_of_the_list_is_found_without_sorting_every_job(
    shown: str, served: Any, statements: list[tuple[str, Any]]
) -> None:
    served.run()
    statements.clear()
    served.get("/jobs", shown=shown, limit=50)
    pages = [asked for asked in statements if "has_workflow" in asked[0] and "count(" not in asked[0]]
    assert len(pages) == 1
    statement, values = pages[0]
    with open_ledger(served.engine).database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert not [step for *_numbers, step in plan if "TEMP B-TREE" in step]


def test_a_job_of_several_attempts_is_listed_once_and_as_its_newest(served: Any, sandbox: Any) -> None:
    sandbox.script("create", "task-failed")
    with pytest.raises(Exception, match="task"):
        served.run()
    served.run(take=1)
    key = served.run()
    answer = served.get("/jobs").json()
    assert answer["total"] == 2
    assert [(job["job_key"] == key, job["number"], job["state"]) for job in answer["jobs"]] == [
        (True, 2, "kept"),
        (False, 1, "kept"),
    ]


def test_what_is_usual_is_looked_up_once_for_all_jobs_of_a_kind(
    served: Any, sandbox: Any, eventually: Any, statements: list[tuple[str, Any]]
) -> None:
    sandbox.move(policy="polls", polls=100_000)
    for take in range(3):
        served.engine.run(served.order(take=take))
    eventually(
        lambda: [job["state"] for job in served.get("/jobs").json()["jobs"]] == ["submitted"] * 3,
        "three tasks",
    )
    statements.clear()
    served.get("/jobs")
    assert len([text for text, _values in statements if "attempts.ended_at IS NOT NULL" in text]) == 1


def test_the_accounts_tasks_are_looked_up_in_the_ledger_all_at_once(
    served: Any, statements: list[tuple[str, Any]]
) -> None:
    for take in range(3):
        served.run(take=take)
    counts = []
    for page_size in (1, 3):
        statements.clear()
        assert len(served.get("/account", page_size=page_size).json()["tasks"]) == page_size
        counts.append(len([text for text, _values in statements if "FROM attempts" in text]))
    assert counts[0] == counts[1]
