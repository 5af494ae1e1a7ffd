"""`kling-once elements`: made once, listed, shown, deleted, with ids that keep every digit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations


@pytest.fixture
def create(
    kling: Callable[..., Any], sandbox: SandboxControl, small_picture: Path, small_view: Path
) -> Callable[..., Any]:
    def run(*options: str, name: str = "Mia") -> Any:
        texts = ("--name", name, "--description", "A disc in front of a gradient")
        return kling("elements", "create", small_picture, small_view, *texts, "--json", *options)

    return run


def test_an_element_is_made_once_listed_shown_and_deleted(
    kling: Callable[..., Any], create: Callable[..., Any], sandbox: SandboxControl
) -> None:
    made = create().json
    again = create().json
    element_id = made["element_id"]
    assert (made["reused"], again["reused"]) == (False, True)
    assert again["element_id"] == element_id == str(sandbox.elements()[0]["element_id"])
    assert len(element_id) == 18

    listed = kling("elements", "list", "--json").json["elements"]
    shown = kling("elements", "show", element_id, "--json").json
    assert listed == [shown]
    assert (shown["element_id"], shown["name"], shown["is_preset"]) == (element_id, "Mia", False)

    assert kling("elements", "delete", element_id, "--yes", "--json").json["deleted"] is True
    assert kling("elements", "list", "--json").json["elements"] == []
    gone = kling("elements", "show", element_id, "--json")
    assert gone.code == 1
    assert create().json["element_id"] != element_id
    assert len(sandbox.element_creates()) == 2


def test_the_official_ones_are_listed_apart_and_found_by_words(
    kling: Callable[..., Any], sandbox: SandboxControl
) -> None:
    presets = kling("elements", "list", "--presets", "--json").json["elements"]
    assert {one["element_id"] for one in presets} == {"160", "161", "163"}
    assert all(one["is_preset"] for one in presets)
    (dog,) = kling("elements", "list", "--presets", "--search", "DOG white", "--json").json["elements"]
    assert dog["element_id"] == "163"
    assert kling("elements", "list", "--json").json["elements"] == []
    assert "163" in kling("elements", "list", "--presets").out


def test_nothing_is_deleted_unasked(
    kling: Callable[..., Any], create: Callable[..., Any], sandbox: SandboxControl
) -> None:
    element_id = create().json["element_id"]
    assert kling("elements", "delete", element_id).code == 1
    assert [one["status"] for one in sandbox.elements()] == ["succeed"]


def test_broken_limits_are_told_in_words(
    kling: Callable[..., Any], create: Callable[..., Any], sandbox: SandboxControl, small_picture: Path
) -> None:
    assert "name has 21 characters; Kling takes 20" in create(name="x" * 21).text
    alone = kling("elements", "create", small_picture, "--name", "M", "--description", "d")
    assert "0 other views; Kling takes 1 to 3" in alone.text
    assert "is not an element's number" in kling("elements", "show", "../costs").text
    assert sandbox.element_creates() == []


def test_a_clip_that_is_too_long_is_trimmed_as_the_advice_says(
    kling: Callable[..., Any], draw_hd_clip: Callable[..., Path], sandbox: SandboxControl
) -> None:
    texts = ("--name", "Mia", "--description", "A bar that walks")
    given = ("elements", "create", draw_hd_clip(1920, 1080, 90), "--clip", *texts)
    refused = kling(*given)
    assert refused.code == 1
    assert "an element allows 3 to 8 s. Trim it, or use conform 'auto, trim to limit'" in refused.text
    made = kling(*given, "--conform", "auto, trim to limit")
    assert made.code == 0
    assert made.out.count("0 units were seen for an element") == 1
    assert len(sandbox.element_creates()) == 1


def test_an_elements_job_is_in_the_ledgers_list_with_its_charge(
    kling: Callable[..., Any], create: Callable[..., Any]
) -> None:
    made = create("--project", "film").json
    (row,) = kling("jobs", "--json").json["jobs"]
    assert (row["kind"], row["element_name"], row["project"]) == ("element", "Mia", "film")
    assert (row["made_element_id"], row["units_charged"]) == (made["element_id"], 0)
    assert made["element_id"] in kling("jobs", "--csv").out
    assert kling("collect", made["task_id"]).code == 0
