"""Prices in tooltips, translations and help pages are those of the price list."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kling_once.api.limits import MODELS, USD_PER_UNIT, Mode
from kling_once.api.motion_control import MOTION_SETTINGS
from kling_once.order import ORDER_SETTINGS
from kling_once.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
RATES = {
    (model.name, mode): f"{(units * USD_PER_UNIT).normalize():f}"
    for model in MODELS.values()
    for mode, units in model.units_per_second.items()
}
PRICED = ("MotionControl", "SubmitMotionControl", "CheckMotionControl")


TIPS = {item.name: item.tip for item in (*MOTION_SETTINGS, *ORDER_SETTINGS)}


def mode_tips() -> list[str]:
    texts = [TIPS["mode"]]
    for language in ("en", "zh"):
        path = ROOT / "locales" / language / "nodeDefs.json"
        defs = json.loads(path.read_text(encoding="utf-8"))
        texts += [defs[f"KlingOnce_{name}"]["inputs"]["mode"]["tooltip"] for name in PRICED]
    return texts


@pytest.mark.parametrize("tip", mode_tips())
def test_the_price_of_every_model_and_mode_is_told(tip: str) -> None:
    for model in MODELS:
        part = tip.partition(model)[2].partition("kling-")[0]
        found = {mode: re.search(rf"{mode.value}\D*([\d.]+\d)", part) for mode in Mode}
        assert {mode: hit and hit[1] for mode, hit in found.items()} == {
            mode: RATES[model, mode] for mode in Mode
        }


@pytest.mark.parametrize("name", PRICED)
def test_help_pages_have_the_table_and_its_date(name: str) -> None:
    for page in [path for path in (ROOT / "js" / "docs").rglob("*.md") if f"KlingOnce_{name}" in str(path)]:
        text = page.read_text(encoding="utf-8")
        for model in MODELS:
            row = next(line for line in text.splitlines() if line.startswith(f"| {model} "))
            assert re.findall(r"\d+\.\d+", row) == [RATES[model, mode] for mode in (Mode.STD, Mode.PRO)]
        assert all(str(model.prices_as_of) in text for model in MODELS.values())


def test_the_unit_and_the_servers_limits_are_told(monkeypatch: Any, tmp_path: Path) -> None:
    for name in ("KLING_ONCE_MAX_UNITS_PER_PROMPT", "KLING_ONCE_MAX_UNITS_PER_DAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KLING_ONCE_HOME", str(tmp_path))
    settings = load_settings()
    tip = TIPS["max_units"]
    assert f"1 unit is {USD_PER_UNIT} USD" in tip
    assert f"({settings.max_units_per_prompt} in a prompt, {settings.max_units_per_day} in a day" in tip
