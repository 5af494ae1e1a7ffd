"""The hold switch, totals and limits."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from kling_once.sandbox import DEFAULT_API_KEY


def live(served: Any, **changes: Any) -> Any:
    """Return an order to the live service, whose part the sandbox plays."""
    return served.order(service=type(served.order().service)("kling"), **changes)


@pytest.fixture
def live_server(serve: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KLINGAI_BASE_URL", sandbox.origin)
    monkeypatch.setenv("KLINGAI_API_KEY", DEFAULT_API_KEY)
    return serve


def test_on_hold_nothing_live_is_bought_and_the_sandbox_goes_on(
    live_server: Any, sandbox: Any, part: Any, small_clip: Any
) -> None:
    served = live_server()
    assert served.post("/hold", {"held": True}).json()["held_since"]
    url = part("kling_once.order").VideoUrl(sandbox.upload(small_clip))
    held = part("kling_once.errors").SubmissionsHeld
    with pytest.raises(held, match="on hold since"):
        served.engine.run(live(served, video=url)).result(60)
    assert sandbox.creates() == []
    served.run()
    assert len(sandbox.creates()) == 1


def test_the_hold_survives_a_restart_and_ends_when_released(
    live_server: Any, sandbox: Any, part: Any, small_clip: Any
) -> None:
    live_server().post("/hold", {"held": True})
    again = live_server()
    assert again.get("/status").json()["held_since"]
    assert again.post("/hold", {"held": False}).json()["held_since"] is None
    url = part("kling_once.order").VideoUrl(sandbox.upload(small_clip))
    again.engine.run(live(again, video=url)).result(60)
    assert len(sandbox.creates()) == 1


def test_totals_keep_live_and_sandbox_apart(served: Any) -> None:
    served.run(project="cats")
    served.run(project="cats", take=1)
    (row,) = served.get("/totals").json()["rows"]
    assert (row["service"], row["project"], row["profile"]) == ("sandbox", "cats", "")
    assert row["today"]["attempts"] == row["month"]["attempts"] == 2
    assert row["today"]["units_charged"] == 3.0


def test_csv_holds_every_attempt_and_no_formula(served: Any) -> None:
    served.run(project="=cmd()")
    (row,) = csv.DictReader(io.StringIO(served.get("/history.csv").text))
    assert row["project"] == "'=cmd()"
    totals = list(csv.DictReader(io.StringIO(served.get("/totals.csv").text)))
    assert [line["span"] for line in totals] == ["today", "month"]


def test_limits_are_written_to_the_file_and_hold_at_once(served: Any, part: Any) -> None:
    answer = served.post("/limits", {"max_units_per_prompt": 1, "max_units_per_day": "1"})
    assert answer.json() == {
        "max_units_per_prompt": 1.0,
        "max_units_per_day": 1.0,
        "from_environment": [],
    }
    with pytest.raises(part("kling_once.errors").BudgetReached):
        served.run()
    path = part("kling_once.settings").config_folder() / "settings.json"
    assert json.loads(path.read_text()) == {"max_units_per_prompt": 1.0, "max_units_per_day": 1.0}


def test_limits_that_the_environment_sets_are_changed_there(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLING_ONCE_MAX_UNITS_PER_DAY", "5")
    answer = served.post("/limits", {"max_units_per_day": 10})
    assert answer.status_code == 422
    assert "KLING_ONCE_MAX_UNITS_PER_DAY" in answer.json()["message"]


def test_a_limit_is_changed_beside_one_that_the_environment_sets(
    serve: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch, part: Any
) -> None:
    monkeypatch.setenv("KLING_ONCE_MAX_UNITS_PER_DAY", "5")
    served = serve()
    assert served.get("/status").json()["limits"]["from_environment"] == ["max_units_per_day"]
    answer = served.post("/limits", {"max_units_per_prompt": 2, "max_units_per_day": 5})
    assert answer.status_code == 200, answer.text
    assert served.get("/status").json()["limits"]["max_units_per_prompt"] == 2.0
    path = part("kling_once.settings").config_folder() / "settings.json"
    assert json.loads(path.read_text()) == {"max_units_per_prompt": 2.0}
    assert served.post("/limits", {"max_units_per_prompt": 3, "max_units_per_day": 6}).status_code == 422
    assert served.get("/status").json()["limits"]["max_units_per_prompt"] == 2.0
