"""Price, limits and what is paid, on the node before Run is pressed; and the hold switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingDirect_MotionControl"


@pytest.fixture
def editor(comfy: Any, inputs: Path, screen: Callable[..., Any]) -> Any:
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.wait_for_badge("free")
    return seen


def test_the_price_follows_the_widgets(editor: Any, shot: Callable[..., Any]) -> None:
    editor.widget(MOTION, "service", "kling")
    editor.wait_for_badge("up to 2 units (0.28 USD)")
    editor.widget(MOTION, "mode", "pro")
    editor.wait_for_badge("up to 3.2 units (0.448 USD)")
    editor.widget(MOTION, "model", "kling-v3")
    editor.wait_for_badge("up to 4.8 units (0.672 USD)")
    editor.widget(MOTION, "mode", "std")
    editor.wait_for_badge("up to 3.6 units (0.504 USD)")
    editor.look_at()
    shot(editor, "badge-price")
    editor.widget(MOTION, "service", "sandbox")
    editor.wait_for_badge("free")


def test_what_was_made_says_so_after_the_run_and_not_before(editor: Any) -> None:
    editor.widget(MOTION, "take", 201)
    editor.wait_for_badge("sandbox, free")
    editor.run()
    editor.wait_for_badge("already made, free")
    editor.widget(MOTION, "take", 202)
    editor.wait_for_badge("sandbox, free")


def test_a_broken_limit_is_shown_before_the_run(editor: Any, inputs: Path, shot: Callable[..., Any]) -> None:
    Image.new("RGB", (100, 100), "white").save(inputs / "tiny.png")
    editor.widget(MOTION, "conform", "off")
    editor.widget("LoadImage", "image", "tiny.png")
    editor.wait_for_badge("Reference image")
    editor.look_at()
    shot(editor, "badge-limit")


def test_widgets_that_contradict_each_other_say_so(editor: Any) -> None:
    editor.widget(MOTION, "model", "kling-v3")
    editor.widget(MOTION, "element_id", "123456")
    editor.widget(MOTION, "character_orientation", "image")
    editor.wait_for_badge("With an element Kling follows")


def test_the_hold_switch_stops_the_next_live_submit_and_survives_a_restart(
    comfy: Any,
    inputs: Path,
    graph: Any,
    sandbox: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
) -> None:
    url = sandbox.upload(inputs / "motion.mp4")
    live = graph(service="kling", profile="studio", motion_source="url", **{"motion_source.url": url})
    del live["3"]["inputs"]["motion_source.video"]
    seen = screen(comfy.url)
    tasks = seen.tasks()
    tasks.press("Hold live submissions")
    seen.page.locator('.kling-direct-hold[data-held="true"]').wait_for()
    shot(seen, "hold")
    before = len(sandbox.creates())
    comfy.stop()
    comfy.start()
    ended = comfy.run(live)
    assert "on hold since" in ended.error["exception_message"]
    assert len(sandbox.creates()) == before
    seen = screen(comfy.url)
    tasks = seen.tasks()
    tasks.press("Release")
    seen.page.locator('.kling-direct-hold[data-held="false"]').wait_for()
    assert comfy.run(live).ok
    assert len(sandbox.creates()) == before + 1
