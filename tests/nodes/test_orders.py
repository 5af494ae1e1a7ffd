"""Where the settings of an order stand on a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kling_once.api.motion_control import MOTION_SETTINGS, Setting
from kling_once.order import ORDER_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_setting_that_came_late_stands_after_all_others(part: Callable[[str], Any]) -> None:
    """A saved workflow holds the values of widgets by their place."""
    orders = part("orders")
    settings = [*MOTION_SETTINGS, *ORDER_SETTINGS]
    before = orders.by_place(settings)
    late = [Setting(name="smooth", tip="Smooth.", default=False, is_late=True)]
    late.append(Setting(name="grain", tip="Grain.", default=0, is_late=True, is_advanced=True))
    assert orders.by_place([*late, *settings]) == [*before, *late]
    assert {item.name for item in before} == {item.name for item in settings} | {"on_failure"}
