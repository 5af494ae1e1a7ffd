"""A model that the vendor has switched off stays selectable, and says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.api.limits import MODELS, MotionModel
from kling_once.api.motion_control import MOTION_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def retired(monkeypatch: pytest.MonkeyPatch) -> MotionModel:
    model = replace(MODELS["kling-v3"], retired_on=date(2026, 9, 15))
    monkeypatch.setitem(MODELS, model.name, model)
    return model


def test_a_retired_model_is_said_by_check_and_still_priced(
    engine: Any, order: Callable[..., Any], retired: MotionModel
) -> None:
    checked = engine.check(order(model=retired.name)).result(30)

    assert checked.ok
    assert checked.price is not None
    assert any("switched kling-v3 off on 2026-09-15" in note for note in checked.notes)


def test_a_result_that_is_kept_is_served_although_its_model_is_retired(
    engine: Any, order: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    engine.run(order(model="kling-v3")).result(30)
    request.getfixturevalue("retired")
    assert engine.run(order(model="kling-v3")).result(30).reused


def test_the_date_lies_ahead_until_it_has_come(retired: MotionModel) -> None:
    assert not retired.retirement(date(2026, 9, 14))
    assert retired.retirement(date(2026, 9, 15))


def test_every_model_of_the_table_can_be_chosen() -> None:
    setting = next(item for item in MOTION_SETTINGS if item.name == "model")
    assert setting.choices == tuple(MODELS)
