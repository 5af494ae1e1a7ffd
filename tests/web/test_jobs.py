"""The list of jobs: complete, searchable, without links."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.order import SERVICES_OFF
from kling_once.sandbox import DEFAULT_API_KEY
from tests.open_ledger import ask_ledger, open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS_BEFORE_CREATE = 3
"""An order of an empty ledger asks for the ids of all three attempts first."""


def first_attempt(served: Any, key: str) -> Any:
    return ask_ledger(served.engine, lambda ledger: ledger.attempts_of(key))[0]


def test_a_made_job_is_listed_with_where_its_file_lies(served: Any) -> None:
    key = served.run(project="cats")
    (job,) = served.get("/jobs").json()["jobs"]
    assert job["job_key"] == key
    assert job["state"] == "kept"
    assert job["project"] == "cats"
    assert job["file"]["type"] == "output"
    assert (served.folders["output"] / job["file"]["subfolder"] / job["file"]["filename"]).is_file()


def test_a_job_of_a_picture_named_task_is_not_taken_for_an_adopted_one(served: Any) -> None:
    served.run(image_name="task")
    (job,) = served.get("/jobs").json()["jobs"]
    assert (job["image_name"], job["adopted"]) == ("task", False)


def test_no_list_and_no_detail_holds_a_link_or_a_workflow(served: Any) -> None:
    key = served.run()
    for path in ("/jobs", f"/jobs/{key}", "/account", "/totals", "/history.csv"):
        text = served.get(path).text
        assert "http" not in text, path
        assert "nodes" not in text, path


def test_the_detail_shows_the_prompt_and_every_attempt(served: Any) -> None:
    key = served.run(prompt="on a beach")
    job = served.get(f"/jobs/{key}").json()
    assert job["prompt"] == "on a beach"
    assert [attempt["number"] for attempt in job["attempts"]] == [1]


def test_search_and_filter_narrow_the_list(served: Any) -> None:
    served.run(project="cats")
    served.run(project="dogs", take=1)
    assert served.get("/jobs").json()["total"] == 2
    assert [job["project"] for job in served.get("/jobs", search="dog").json()["jobs"]] == ["dogs"]
    assert served.get("/jobs", search="100%").json()["total"] == 0
    assert served.get("/jobs", shown="failed").json()["jobs"] == []
    assert served.get("/jobs", shown="kept", limit=1).json()["total"] == 2


def test_picture_poster_and_video_are_served(served: Any) -> None:
    key = served.run()
    for name, kind in (("picture", "image/jpeg"), ("poster", "image/jpeg"), ("video", "video/mp4")):
        answer = served.get(f"/jobs/{key}/{name}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == kind
    part = served.http.get(f"/kling_once/jobs/{key}/video", headers={"Range": "bytes=0-9"})
    assert part.status_code == 206
    assert len(part.content) == 10


def test_a_result_outside_of_the_results_folder_is_not_served(served: Any, tmp_path: Any) -> None:
    key = served.run()
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    video = served.engine.store.path(first_attempt(served, key).result_path)
    video.unlink()
    video.symlink_to(secret)
    assert served.get(f"/jobs/{key}/video").status_code == 404


def test_forgetting_hides_the_row_and_never_shrinks_a_total(served: Any) -> None:
    key = served.run()
    before = served.get("/totals").json()
    answer = served.post(f"/jobs/{key}/forget", {})
    assert answer.json() == {"job_key": key, "deleted": []}
    assert served.get("/jobs").json()["total"] == 0
    assert served.get("/totals").json() == before
    assert served.get(f"/jobs/{key}").json()["task_id"]
    assert served.get(f"/jobs/{key}/video").status_code == 200


def test_forgetting_deletes_the_file_only_when_asked(served: Any) -> None:
    key = served.run()
    deleted = served.post(f"/jobs/{key}/forget", {"delete_file": True}).json()["deleted"]
    assert [name.rsplit(".", 1)[1] for name in deleted] == ["mp4", "json"]
    assert not list(served.engine.store.root.rglob("*.mp4"))


def test_a_forgotten_job_that_is_made_again_is_shown_again(served: Any) -> None:
    key = served.run()
    served.post(f"/jobs/{key}/forget", {"delete_file": True})
    assert served.run() == key
    assert [job["state"] for job in served.get("/jobs").json()["jobs"]] == ["kept"]


def test_collect_now_fetches_a_result_that_is_not_here(served: Any, eventually: Callable[..., Any]) -> None:
    key = served.run()
    video = served.engine.store.path(first_attempt(served, key).result_path)
    video.unlink()
    served.events.clear()
    assert served.post(f"/jobs/{key}/collect").status_code == 202
    eventually(lambda: (key, "ended") in served.events, "the end of collecting is told")
    assert video.is_file()


def test_a_collect_that_fails_says_why_in_the_list(served: Any, sandbox: Any, eventually: Any) -> None:
    key = served.run()
    served.engine.store.path(first_attempt(served, key).result_path).unlink()
    sandbox.reset()
    served.post(f"/jobs/{key}/collect")
    trouble = eventually(lambda: served.get("/jobs").json()["jobs"][0]["trouble"], "the reason is shown")
    assert trouble["hint"]


def test_an_old_trouble_is_not_told_of_a_job_that_is_done_since(
    served: Any, sandbox: Any, eventually: Any
) -> None:
    key = served.run()
    served.engine.store.path(first_attempt(served, key).result_path).unlink()
    sandbox.script("get", "status-401")
    served.post(f"/jobs/{key}/collect")
    eventually(lambda: served.get("/jobs").json()["jobs"][0]["trouble"], "the reason is shown")
    assert served.run() == key
    (job,) = served.get("/jobs").json()["jobs"]
    assert (job["state"], job["has_file"], job["trouble"]) == ("kept", True, None)


@pytest.fixture
def unsent(served: Any, sandbox: Any, part: Any) -> str:
    """Return a job whose order ended right before the create."""
    sandbox.script("get", *["ok"] * LOOKS_BEFORE_CREATE, "status-401")
    with pytest.raises(part("kling_once.errors").KlingOnceError):
        served.run()
    assert sandbox.creates() == []
    return served.get("/jobs").json()["jobs"][0]["job_key"]


def test_a_job_that_was_never_sent_costs_nothing_and_can_be_forgotten(
    served: Any, unsent: str, sandbox: Any
) -> None:
    (job,) = served.get("/jobs").json()["jobs"]
    assert (job["state"], job["units_estimated"]) == ("intent", None)
    assert served.post(f"/jobs/{unsent}/forget", {}).status_code == 200
    assert served.get("/jobs").json()["total"] == 0
    assert served.run() == unsent
    assert [one["state"] for one in served.get("/jobs").json()["jobs"]] == ["kept"]
    assert len(sandbox.creates()) == 1


def change_attempt(served: Any, part: Any, **columns: Any) -> None:
    """Write what a process leaves behind that works on the only attempt, or was killed."""
    attempts = part("kling_once.ledger.tables").attempts
    with open_ledger(served.engine).database.write() as connection:
        connection.execute(attempts.update().values(columns))


def test_a_job_that_somebody_works_on_cannot_be_forgotten(served: Any, unsent: str, part: Any) -> None:
    now = served.engine.clock.now()
    change_attempt(served, part, owner="another", lease_until=now + timedelta(seconds=30))
    assert served.post(f"/jobs/{unsent}/forget", {}).status_code == 409
    change_attempt(served, part, lease_until=now - timedelta(seconds=1), units_reserved="1.5")
    assert served.post(f"/jobs/{unsent}/forget", {}).status_code == 200
    assert served.get("/totals").json()["rows"][0]["month"]["units_open"] == 0.0


def test_a_create_that_was_cut_off_is_unknown_and_cannot_be_forgotten(
    served: Any, unsent: str, part: Any
) -> None:
    change_attempt(served, part, posted_at=datetime.fromtimestamp(0, UTC), posts=1)
    (job,) = served.get("/jobs").json()["jobs"]
    assert (job["state"], job["units_estimated"]) == ("unknown", 1.5)
    assert served.post(f"/jobs/{unsent}/forget", {}).status_code == 409


@pytest.mark.parametrize(
    ("units", "cash", "currency", "money"),
    [
        ("10", "0", "USD of a test balance", (1.4, "USD")),
        ("10", "0.5", "USD", (1.9, "USD")),
        ("10", "0.5", "USD of a test balance", (0.5, "USD of a test balance")),
        (None, "0", "CNY", (0.0, "CNY")),
        ("0", "0", "CNY", (0.0, "USD")),
    ],
)
def test_what_a_job_costs_is_told_in_money_and_no_cash_hides_no_units(
    served: Any, unsent: str, part: Any, units: Any, cash: str, currency: str, money: tuple[float, str]
) -> None:
    change_attempt(served, part, units_charged=units, cash_charged=cash, currency=currency)
    job = served.get(f"/jobs/{unsent}").json()
    assert (job["money"], job["money_currency"]) == money


def test_where_paid_services_are_off_only_what_is_here_is_collected(
    serve: Any, sandbox: Any, part: Any, small_clip: Any, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)
    served, job = serve(), part("kling_once.order")
    key = served.run(service=job.Service.KLING, video=job.VideoUrl(sandbox.upload(small_clip)))
    served.is_off = True
    asked = len(sandbox.calls())
    served.events.clear()
    assert served.post(f"/jobs/{key}/collect").status_code == 202
    eventually(lambda: (key, "ended") in served.events, "the end of collecting is told")
    served.engine.store.path(first_attempt(served, key).result_path).unlink()
    answer = served.post(f"/jobs/{key}/collect")
    assert (answer.status_code, answer.json()["message"]) == (409, SERVICES_OFF)
    assert len(sandbox.calls()) == asked


def test_events_hold_a_job_key_and_a_state_and_nothing_else(served: Any) -> None:
    key = served.run()
    states = [state for known, state in served.events if known == key]
    assert states[-1] == "ended"
    assert {"submit", "wait", "download", "kept"} <= set(states)


def test_an_unknown_job_is_a_clean_404(served: Any) -> None:
    key = "v1" + "0" * 64
    for path in ("", "/workflow", "/picture", "/poster", "/video"):
        answer = served.get(f"/jobs/{key}{path}")
        assert answer.status_code == 404, path
        assert answer.json()["message"]


def test_the_workflow_that_made_a_job_is_given_alone(served: Any, part: Callable[[str], Any]) -> None:
    graph = part("kling_once.order").Graph("signature", {"nodes": [1], "version": 0.4})
    key = served.run(graph=graph)
    assert served.get("/jobs").json()["jobs"][0]["has_workflow"] is True
    assert served.get(f"/jobs/{key}/workflow").json() == {"workflow": {"nodes": [1], "version": 0.4}}


def stored_workflows(served: Any) -> list[Any]:
    """Return every workflow in the ledger, whether something leads to it or not."""
    with open_ledger(served.engine).database.read() as connection:
        return [json.loads(text) for (text,) in connection.exec_driver_sql("SELECT text FROM workflows")]


def test_a_forgotten_jobs_workflow_is_gone_unless_another_job_has_it(
    served: Any, part: Callable[[str], Any]
) -> None:
    graph = part("kling_once.order").Graph
    keys = [served.run(take=take, graph=graph(f"take {take}", {"nodes": [1]})) for take in range(2)]
    served.post(f"/jobs/{keys[0]}/forget", {})
    assert served.get(f"/jobs/{keys[0]}/workflow").status_code == 404
    assert served.get(f"/jobs/{keys[1]}/workflow").json() == {"workflow": {"nodes": [1]}}
    served.post(f"/jobs/{keys[1]}/forget", {})
    assert stored_workflows(served) == []


def test_of_a_graph_that_is_queued_again_and_again_one_workflow_is_stored(
    served: Any, part: Callable[[str], Any]
) -> None:
    for position in range(3):
        served.run(graph=part("kling_once.order").Graph("signature", {"nodes": [], "at": position}))
    assert stored_workflows(served) == [{"nodes": [], "at": 2}]


def test_the_folder_of_results_is_shown_on_a_desktop_and_named_elsewhere(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: shown.append(address) or True)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    folder = served.engine.store.root
    assert served.post("/results/open").json() == {"path": str(folder), "opened": False}
    monkeypatch.setenv("DISPLAY", ":0")
    assert served.post("/results/open").json() == {"path": str(folder), "opened": True}
    assert shown == [folder.absolute().as_uri()]
    assert served.post("/results/open", {}, X_Forwarded_For="203.0.113.9").status_code == 403
