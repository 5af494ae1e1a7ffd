"""Keys go in and never come out."""

from __future__ import annotations

import json
import logging
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.sandbox import DEFAULT_ACCESS_KEY, DEFAULT_API_KEY, DEFAULT_SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-a-key-that-nobody-may-see-0123456789"


def files_with(root: Path, text: str) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_saved_key_is_in_the_0600_file_and_nowhere_else(
    served: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        served.post("/keys", {"profile": "studio", "api_key": SECRET}),
        served.get("/keys"),
        served.get("/status"),
        served.post("/keys", {"profile": "studio", "api_key": SECRET}),
    ]
    (path,) = files_with(tmp_path, SECRET)
    assert path == served.engine.settings.credentials_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(SECRET not in answer.text for answer in answers)
    assert SECRET not in caplog.text


def test_the_page_learns_only_where_a_key_comes_from(served: Any) -> None:
    assert [one["state"] for one in served.get("/keys").json()["profiles"]] == ["missing"]
    answer = served.post("/keys", {"api_key": SECRET, "region": "china"}).json()
    assert answer == {
        "profile": "",
        "state": "configured, from file",
        "source": "file",
        "region": "china",
        "address": "https://api-beijing.klingai.com",
        "api": "legacy",
        "problem": None,
        "unfinished": 0,
        "carried": 0,
    }


def test_the_environments_key_wins_and_cannot_be_written_over(
    serve: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLINGAI_API_KEY", SECRET)
    served = serve()
    (profile,) = served.get("/keys").json()["profiles"]
    assert profile["state"] == "configured, from environment"
    assert served.post("/keys", {"api_key": "another-key"}).status_code == 409
    assert not served.engine.settings.credentials_file.exists()


def test_replacing_a_key_has_to_be_asked_for(served: Any) -> None:
    body = {"profile": "studio", "api_key": SECRET}
    served.post("/keys", body)
    answer = served.post("/keys", body | {"api_key": "the-other-key"})
    assert (answer.status_code, answer.json()["error"]) == (409, "KeyExists")
    answer = served.post("/keys", body | {"api_key": "the-other-key", "replace": True})
    assert answer.status_code == 200
    stored = json.loads(served.engine.settings.credentials_file.read_text())
    assert stored["profiles"]["studio"]["api_key"] == "the-other-key"


def test_a_new_key_leaves_the_address_of_its_profile_as_it_is(served: Any) -> None:
    path = served.engine.settings.credentials_file
    served.post("/keys", {"profile": "china", "api_key": SECRET, "region": "china"})
    stored = json.loads(path.read_text())
    stored["profiles"]["own"] = {"api_key": SECRET, "base_url": "https://kling.studio.example"}
    path.write_text(json.dumps(stored))
    for profile, region in (("china", "china"), ("own", "other")):
        body = {"profile": profile, "api_key": "the-other-key", "replace": True}
        assert served.post("/keys", body).json()["region"] == region
    assert json.loads(path.read_text())["profiles"] == {
        "china": {"api_key": "the-other-key", "region": "china"},
        "own": {"api_key": "the-other-key", "base_url": "https://kling.studio.example"},
    }
    body = {"profile": "own", "api_key": SECRET, "region": "china", "replace": True}
    assert served.post("/keys", body).json()["region"] == "china"


def test_the_page_learns_how_many_paid_tasks_wait_for_a_key(
    serve: Any, sandbox: Any, part: Any, small_clip: Any, eventually: Any
) -> None:
    served, job = serve(), part("kling_once.order")
    path = served.engine.settings.credentials_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    own = {"api_key": DEFAULT_API_KEY, "base_url": sandbox.origin}
    path.write_text(json.dumps({"profiles": {"studio": own}}))
    sandbox.move(policy="polls", polls=100_000)
    order = served.order(
        service=job.Service.KLING, profile="studio", video=job.VideoUrl(sandbox.upload(small_clip))
    )
    served.engine.submit(order).result(60)
    states = {one["profile"]: one for one in served.get("/keys").json()["profiles"]}
    assert (states[""]["unfinished"], states["studio"]["unfinished"]) == (0, 1)
    body = {"profile": "studio", "api_key": SECRET, "replace": True}
    assert served.post("/keys", body).json()["unfinished"] == 1


def test_an_access_key_goes_with_its_secret_key(served: Any) -> None:
    assert served.post("/keys", {"profile": "p", "access_key": SECRET}).status_code == 422
    assert served.post("/keys", {"profile": "p"}).status_code == 422
    pair = {"profile": "p", "access_key": "access-key-1", "secret_key": "secret-key-1"}
    assert served.post("/keys", pair).status_code == 200
    assert served.post("/keys", pair | {"profile": "q", "api_key": SECRET}).status_code == 422


def test_a_file_that_others_may_read_is_not_used_and_not_shown(served: Any) -> None:
    served.post("/keys", {"profile": "studio", "api_key": SECRET})
    served.engine.settings.credentials_file.chmod(0o644)
    assert served.post("/keys", {"profile": "other", "api_key": SECRET}).status_code == 422
    assert served.get("/keys").json()["profiles"][0]["problem"]


def test_forgetting_removes_one_profile(served: Any, tmp_path: Path) -> None:
    served.post("/keys", {"profile": "studio", "api_key": SECRET})
    served.post("/keys", {"profile": "other", "api_key": "the-other-key"})
    answer = served.post("/keys/forget", {"profile": "studio"})
    assert [one["profile"] for one in answer.json()["profiles"]] == ["", "other"]
    assert files_with(tmp_path, SECRET) == []
    assert served.post("/keys/forget", {"profile": "studio"}).status_code == 409


def test_trying_a_key_says_what_the_account_answered(
    serve: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)
    served = serve()
    good = served.post("/keys/test", {})
    assert good.json()["ok"] is True, good.text
    assert served.post("/keys/test", {"profile": "nobody"}).status_code == 409


def test_trying_a_key_that_is_refused_says_so(
    serve: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", SECRET)
    answer = serve().post("/keys/test", {})
    assert answer.status_code == 502
    assert answer.json()["code"] == 1002
    assert SECRET not in answer.text


def test_which_of_the_two_apis_a_profile_uses_is_chosen_and_kept(served: Any) -> None:
    def shown() -> str:
        return {one["profile"]: one["api"] for one in served.get("/keys").json()["profiles"]}["studio"]

    assert served.post("/keys", {"profile": "studio", "api_key": SECRET, "api": "standard"}).is_success
    assert shown() == "standard"
    assert served.post("/keys", {"profile": "studio", "api_key": SECRET, "replace": True}).is_success
    assert shown() == "standard"
    again = {"profile": "studio", "api_key": SECRET, "replace": True, "api": "legacy"}
    assert served.post("/keys", again).is_success
    assert shown() == "legacy"


def test_a_refusal_shows_no_regular_expression(served: Any) -> None:
    for body in ({"profile": "../x", "api_key": SECRET}, {"region": "mars", "api_key": SECRET}):
        answer = served.post("/keys", body)
        assert answer.status_code == 422
        assert not set("^$[](){}\\") & set(answer.json()["message"]), answer.text
    named = served.post("/keys", {"profile": "../x", "api_key": SECRET}).json()["message"]
    assert named == "profile: A profile's name has 1 to 40 letters, digits, spaces, and _ . - in it."


@pytest.mark.parametrize("answer_is_lost", [False, True])
@pytest.mark.parametrize("is_of_the_account", [True, False])
def test_another_key_of_the_same_account_goes_on_with_its_tasks(
    serve: Any, sandbox: Any, part: Any, small_clip: Any, *, is_of_the_account: bool, answer_is_lost: bool
) -> None:
    served, job = serve(), part("kling_once.order")
    path = served.engine.settings.credentials_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    own = {"api_key": DEFAULT_API_KEY, "base_url": sandbox.origin}
    path.write_text(json.dumps({"profiles": {"studio": own}}))
    sandbox.move(policy="polls", polls=3)
    order = served.order(
        service=job.Service.KLING, profile="studio", video=job.VideoUrl(sandbox.upload(small_clip))
    )
    if answer_is_lost:
        other = replace(order, motion=replace(order.motion, take=1))
        for lost, fault in [(order, "reset-after-accept"), (other, "reset-before-accept")]:
            sandbox.script("create", fault)
            sandbox.script("get", *["ok"] * 4, *["status-502"] * 20)
            with pytest.raises(part("kling_once.errors").OutcomeUnknown):
                served.engine.submit(lost).result(60)
        sandbox.script("get")
        job_key = served.get("/jobs").json()["jobs"][-1]["job_key"]  # the other one has no task
    else:
        job_key = served.engine.submit(order).result(60).job_key
    unfinished = 1 + answer_is_lost
    key = {"access_key": DEFAULT_ACCESS_KEY, "secret_key": DEFAULT_SECRET_KEY}
    body = (key if is_of_the_account else {"api_key": SECRET}) | {"profile": "studio", "replace": True}
    answer = served.post("/keys", body).json()
    assert (answer["carried"], answer["unfinished"]) == (is_of_the_account * unfinished, unfinished)
    served.engine.close()  # who waits already goes on with the old key
    collected = serve().engine.collect(job_key)
    if is_of_the_account:
        assert collected.result(60).path.is_file()
    else:
        with pytest.raises(part("kling_once.errors").CredentialsChanged):
            collected.result(60)
