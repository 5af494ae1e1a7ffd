"""The account's own tasks, and taking one over."""

from __future__ import annotations

from typing import Any


def forget_ledger(served: Any, serve: Any, folder: Any) -> Any:
    """Return a second server with a home of its own: another machine on the same account."""
    return serve(home=folder / "other-home", results=folder / "other-results")


def test_tasks_are_listed_page_by_page_with_their_jobs(served: Any) -> None:
    keys = [served.run(take=take) for take in range(3)]
    first = served.get("/account", page=1, page_size=2).json()["tasks"]
    second = served.get("/account", page=2, page_size=2).json()["tasks"]
    assert [task["job_key"] for task in first + second] == keys[::-1]


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
    assert (job["task_id"], job["project"]) == (task["task_id"], "found")


def test_browsing_own_shows_and_fetches_the_ledgers_tasks_alone(
    served: Any, serve: Any, tmp_path: Any, sandbox: Any
) -> None:
    served.run()
    other = serve(home=tmp_path / "other", results=tmp_path / "other-results", account_browse="own")
    assert other.get("/account").json()["tasks"] == []
    task_id = sandbox.tasks()[0]["task_id"]
    answer = other.post("/account/adopt", {"service": "sandbox", "task_id": task_id})
    assert answer.status_code == 404
    assert "KLING_DIRECT_ACCOUNT_BROWSE" in answer.json()["hint"]


def test_a_task_that_nobody_knows_is_a_clean_404(served: Any) -> None:
    answer = served.post("/account/adopt", {"service": "sandbox", "task_id": "123456789"})
    assert answer.status_code == 404
