"""The account's own tasks, and taking one over."""

from __future__ import annotations

from typing import Any

import pytest

from kling_once.order import SERVICES_OFF


def forget_ledger(served: Any, serve: Any, folder: Any) -> Any:
    """Return a second server with a home of its own: another machine on the same account."""
    return serve(home=folder / "other-home", results=folder / "other-results")


def test_tasks_are_listed_page_by_page_with_their_jobs(served: Any) -> None:
    keys = [served.run(take=take) for take in range(3)]
    first = served.get("/account", page=1, page_size=2).json()
    second = served.get("/account", page=2, page_size=2).json()
    assert [task["job_key"] for task in first["tasks"] + second["tasks"]] == keys[::-1]
    assert (first["is_last"], second["is_last"]) == (False, True)


def test_a_task_of_another_machine_is_adopted_and_kept(
    served: Any, serve: Any, tmp_path: Any, eventually: Any
) -> None:
    served.run()
    other = forget_ledger(served, serve, tmp_path)
    (task,) = other.get("/account").json()["tasks"]
    assert task["job_key"] is None
    body = {"service": "sandbox", "task_id": task["task_id"], "project": "found"}
    assert other.post("/account/adopt", body).status_code == 202
    job = eventually(
        lambda: next((job for job in other.get("/jobs").json()["jobs"] if job["state"] == "kept"), None),
        "the task is kept",
    )
    assert (job["task_id"], job["project"], job["adopted"]) == (task["task_id"], "found", True)


def test_browsing_own_shows_and_fetches_the_ledgers_tasks_alone(
    served: Any, serve: Any, tmp_path: Any, sandbox: Any
) -> None:
    served.run()
    other = serve(home=tmp_path / "other", results=tmp_path / "other-results", account_browse="own")
    assert other.get("/account").json()["tasks"] == []
    assert not other.get("/account", page_size=1).json()["is_last"], "others' tasks are left out, not missing"
    task_id = sandbox.tasks()[0]["task_id"]
    answer = other.post("/account/adopt", {"service": "sandbox", "task_id": task_id})
    assert answer.status_code == 404
    assert "KLING_ONCE_ACCOUNT_BROWSE" in answer.json()["hint"]


def test_a_task_that_nobody_knows_is_a_clean_404(served: Any) -> None:
    answer = served.post("/account/adopt", {"service": "sandbox", "task_id": "123456789"})
    assert answer.status_code == 404


def test_an_adopted_task_that_fails_later_says_why_in_the_list(
    served: Any, serve: Any, tmp_path: Any, sandbox: Any, eventually: Any
) -> None:
    served.run()
    other = forget_ledger(served, serve, tmp_path)
    sandbox.script("result", *["status-404"] * 20)
    task_id = sandbox.tasks()[0]["task_id"]
    assert other.post("/account/adopt", {"service": "sandbox", "task_id": task_id}).status_code == 202
    trouble = eventually(
        lambda: next((job["trouble"] for job in other.get("/jobs").json()["jobs"]), None),
        "the reason is shown",
    )
    assert trouble["task_id"] == task_id
    sandbox.script("result")


@pytest.mark.parametrize(
    ("method", "path", "values"),
    [
        ("GET", "/account", {"service": "kling"}),
        ("POST", "/account/adopt", {"service": "kling", "task_id": "123456789"}),
        ("POST", "/keys/test", {}),
    ],
)
def test_where_paid_services_are_off_nobody_is_asked(
    serve: Any,
    sandbox: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    values: dict[str, Any],
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", "a-key-of-an-account")
    served = serve()
    served.is_off = True
    answer = served.get(path, **values) if method == "GET" else served.post(path, values)
    assert (answer.status_code, answer.json()["message"]) == (409, SERVICES_OFF)
    assert sandbox.calls() == []
    assert served.get("/account").status_code == 200
