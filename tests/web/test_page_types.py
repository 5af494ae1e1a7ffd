"""The types that the page is checked with name what the server answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TYPES = Path(__file__).parents[2] / "types" / "server.ts"


def fields(name: str) -> set[str]:
    """Return the fields of an interface."""
    source = TYPES.read_text(encoding="utf-8")
    found = re.search(rf"^export interface {name} {{\n(.*?)^}}", source, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return set(re.findall(r"^  (\w+)\??:", found[1], re.MULTILINE))


def test_what_the_page_reads_is_answered(served: Any, graph_of: Any) -> None:
    key = served.run()
    status, keys, tasks = (served.get(path).json() for path in ("/status", "/keys", "/account"))
    jobs, totals = served.get("/jobs").json(), served.get("/totals").json()
    answers = {
        "Job": served.get(f"/jobs/{key}").json(),
        "JobsPage": jobs,
        "Status": status,
        "Limits": status["limits"],
        "TotalsRow": totals["rows"][0],
        "Spending": totals["rows"][0]["today"],
        "Keys": keys,
        "KeyState": keys["profiles"][0],
        "AccountTasks": tasks,
        "AccountTask": tasks["tasks"][0],
        "CheckedNode": served.post("/node", {"node_id": "3", "prompt": graph_of()}).json(),
    }
    assert {name: fields(name) - set(answer) for name, answer in answers.items()} == {
        name: set() for name in answers
    }
    assert fields("Job") == set(jobs["jobs"][0]) & fields("Job")


def test_what_the_page_sends_is_taken(part: Any) -> None:
    assert fields("NewKey") == set(part("kling_once.web.account").SaveKeyBody.model_fields)
    assert fields("JobsQuery") == set(part("kling_once.web.jobs").JobsQuery.model_fields)
