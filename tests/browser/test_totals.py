"""What was spent, its CSV, and the spending limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def totals(comfy: Any, inputs: Path, graph: Any, sandbox: Any, screen: Callable[..., Any]) -> Any:
    """Show the totals after a live task and a sandbox one of a project each."""
    live = graph(service="kling", profile="studio", project="paid-project", take=601, motion_source="url")
    del live["3"]["inputs"]["motion_source.video"]
    live["3"]["inputs"]["motion_source.url"] = sandbox.upload(inputs / "motion.mp4")
    assert comfy.run(live).ok
    assert comfy.run(graph(project="free-project", take=602)).ok
    seen = screen(comfy.url)
    seen.tasks().show("totals")
    seen.page.get_by_label("Units per prompt").wait_for()
    yield seen
    set_limits(comfy, max_units_per_prompt=80, max_units_per_day=300)


def limits(comfy: Any) -> dict[str, float]:
    known = comfy.get("/kling_once/status")["limits"]
    return {name: known[name] for name in ("max_units_per_prompt", "max_units_per_day")}


def set_limits(comfy: Any, **wanted: float) -> None:
    """Change limits as a page of the server itself does."""
    headers = {"Origin": comfy.url}
    answer = httpx.post(f"{comfy.url}/kling_once/limits", json=wanted, headers=headers)
    assert answer.status_code == 200, answer.text


def test_live_and_sandbox_stand_apart_by_project_and_profile(totals: Any, shot: Callable[..., Any]) -> None:
    live, sandbox = (totals.page.locator(".kling-once-table").nth(place) for place in (0, 1))
    row = live.get_by_role("row").filter(has_text="paid-project")
    assert row.get_by_role("cell").nth(1).inner_text() == "studio"
    assert "units" in row.get_by_role("cell").nth(2).inner_text()
    sandbox.get_by_role("row").filter(has_text="free-project").wait_for()
    assert live.get_by_text("free-project").count() == 0
    shot(totals, "totals")


@pytest.mark.parametrize(
    ("link", "name", "text"),
    [
        ("Totals as CSV", "kling-once-totals.csv", "paid-project"),
        ("All tasks as CSV", "kling-once-history.csv", "ko-"),
    ],
)
def test_csv_is_downloaded(totals: Any, link: str, name: str, text: str) -> None:
    with totals.page.expect_download() as coming:
        totals.page.get_by_role("link", name=link).click()
    download = coming.value
    assert download.suggested_filename == name
    assert text in download.path().read_text()


def test_one_limit_is_changed_and_the_other_is_left_alone(totals: Any, comfy: Any) -> None:
    set_limits(comfy, max_units_per_day=299)
    totals.page.get_by_label("Units per prompt").fill("41.5")
    totals.page.locator(".kling-once-limits").get_by_role("button", name="Save").click()
    totals.said("Saved.")
    assert limits(comfy) == {"max_units_per_prompt": 41.5, "max_units_per_day": 299}


def test_an_emptied_limit_is_refused_and_does_not_become_zero(totals: Any, comfy: Any) -> None:
    before = limits(comfy)
    totals.page.get_by_label("Units per day").fill("")
    totals.page.locator(".kling-once-limits").get_by_role("button", name="Save").click()
    assert totals.page.get_by_label("Units per day").evaluate("one => one.validity.valueMissing")
    totals.page.get_by_label("Units per day").fill(str(before["max_units_per_day"]))
    totals.page.locator(".kling-once-limits").get_by_role("button", name="Save").click()
    totals.said("Nothing was changed.")
    assert limits(comfy) == before
