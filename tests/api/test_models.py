"""The wire: everything documented is understood, and nothing undocumented loses a paid task."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from kling_once.api.models import Task, TaskStatus
from tests.create_request import create_request

DOCUMENTED = {
    "task_id": "811461243664102693",
    "task_status": "succeed",
    "task_status_msg": "a reason",
    "task_info": {"external_task_id": "ko-1"},
    "task_result": {
        "videos": [
            {
                "id": "v-1",
                "url": "https://cdn.example/v.mp4",
                "watermark_url": "https://cdn.example/w.mp4",
                "duration": "5.04",
            }
        ]
    },
    "watermark_info": {"enabled": True},
    "final_unit_deduction": "4.5",
    "final_balance_deduction": {"quota": "0.63", "list_price": "0.7"},
    "created_at": 1_722_769_557_708,
    "updated_at": 1_722_769_557_709,
}


def task(**changes: Any) -> Task:
    return Task.model_validate(DOCUMENTED | changes)


def test_every_documented_field_is_typed() -> None:
    known = task()
    assert known.task_id == "811461243664102693"
    assert known.status is TaskStatus.SUCCEED
    assert known.task_status_msg == "a reason"
    assert known.task_info.external_task_id == "ko-1"
    assert known.video is not None
    assert known.video.url == "https://cdn.example/v.mp4"
    assert known.video.watermark_url == "https://cdn.example/w.mp4"
    assert known.video.duration == Decimal("5.04")
    assert known.watermark_info.enabled is True
    assert known.final_unit_deduction == Decimal("4.5")
    assert known.final_balance_deduction.quota == Decimal("0.63")
    assert known.final_balance_deduction.list_price == Decimal("0.7")
    assert known.created_at is not None
    assert known.created_at.isoformat() == "2024-08-04T11:05:57.708000+00:00"


def test_fields_that_are_new_to_us_are_tolerated_everywhere() -> None:
    known = task(
        brand_new={"a": [1]},
        task_info={"external_task_id": "ko-1", "parent_video": {"id": "p"}},
        task_result={"videos": [{"id": "v", "url": "https://x/y", "cover": None}], "images": []},
    )
    assert known.task_info.external_task_id == "ko-1"
    assert known.video is not None


@pytest.mark.parametrize(
    ("units", "quota", "meant"),
    [
        ("0", "1.68", None),
        (0, 1.68, None),
        ("0.0", "0.01", None),
        ("12", "1.68", Decimal(12)),
        ("0", "0", Decimal(0)),
        ("0", None, Decimal(0)),
        (None, "1.68", None),
    ],
)
def test_no_units_beside_a_charge_in_cash_are_no_charge_of_0(units: Any, quota: Any, meant: Any) -> None:
    charged = task(final_unit_deduction=units, final_balance_deduction={"quota": quota})
    assert charged.final_unit_deduction == meant


NOTHING = [None, "", [], {}, 0, False, "text", 7, [1], ["x"]]


@pytest.mark.parametrize("field", sorted(set(DOCUMENTED) - {"task_id"}))
@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_a_field_of_any_other_shape_never_hides_a_task(field: str, value: Any) -> None:
    known = task(**{field: value})
    assert known.task_id == "811461243664102693"
    assert known.video is not None or field == "task_result"


@pytest.mark.parametrize("field", sorted(set(DOCUMENTED) - {"task_id", "task_status"}))
def test_a_missing_field_never_hides_a_task(field: str) -> None:
    less = {name: value for name, value in DOCUMENTED.items() if name != field}
    assert Task.model_validate(less).status is TaskStatus.SUCCEED


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2", Decimal(2)),
        (2, Decimal(2)),
        (2.5, Decimal("2.5")),
        (" 0.10 ", Decimal("0.10")),
        ("", None),
        (None, None),
        ("free", None),
        ("NaN", None),
        ("Infinity", None),
        (True, None),
        ({}, None),
        ("1e999999", None),
        ("1e-999999", None),
    ],
)
def test_an_amount_is_read_from_text_or_number_and_nonsense_is_no_amount(
    written: Any, meant: Decimal | None
) -> None:
    assert task(final_unit_deduction=written).final_unit_deduction == meant


@pytest.mark.parametrize("written", ["1722769557708", 1_722_769_557_708])
def test_a_moment_is_read_from_text_or_number(written: Any) -> None:
    moment = task(created_at=written).created_at
    assert moment is not None
    assert moment.year == 2024


@pytest.mark.parametrize("written", [10**30, -(10**30), "soon", [], "1e3"])
def test_an_impossible_moment_is_none(written: Any) -> None:
    assert task(created_at=written).created_at is None


def test_an_id_written_as_a_number_keeps_every_digit() -> None:
    answer = json.loads('{"task_id": 829836802793406551, "task_status": "submitted"}')
    assert Task.model_validate(answer).task_id == "829836802793406551"


def test_the_newer_spelling_of_success_is_understood() -> None:
    assert task(task_status="succeeded").status is TaskStatus.SUCCEED


@pytest.mark.parametrize("status", ["reviewing", "paused", "", "SUCCEED", "succeed "])
def test_an_unknown_status_is_not_terminal(status: str) -> None:
    assert task(task_status=status).status is None


def test_a_video_without_a_link_is_no_video() -> None:
    assert task(task_result={"videos": [{"id": "v", "url": ""}, {"id": "w"}]}).video is None
    second = task(task_result={"videos": [None, {"id": "v", "url": None}, {"id": "w", "url": "https://x/y"}]})
    assert second.video is not None
    assert second.video.id == "w"


def test_no_representation_shows_a_result_link() -> None:
    assert "cdn.example" not in repr(task())
    assert "cdn.example" not in str(task())


def test_no_representation_of_a_create_shows_image_clip_or_callback() -> None:
    request = create_request(
        image_url="QUJD",
        video_url="https://clips.example/signed?sig=1",
        callback_url="https://back.example/secret-path",
        character_orientation="video",
        mode="std",
    )
    assert "example" not in repr(request)
    assert "QUJD" not in repr(request)


def test_optional_fields_at_their_defaults_are_left_out_of_a_create() -> None:
    request = create_request(
        image_url="QUJD", video_url="https://x/y", character_orientation="image", mode="pro"
    )
    assert request.wire() == {
        "model_name": "kling-v2-6",
        "image_url": "QUJD",
        "video_url": "https://x/y",
        "keep_original_sound": "yes",
        "character_orientation": "image",
        "mode": "pro",
    }
